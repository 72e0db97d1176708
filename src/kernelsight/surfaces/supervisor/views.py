"""What a person sees while the system runs: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from kernelsight.collectors.base import by_reason
from kernelsight.printable import printable
from kernelsight.surfaces.figures import human_bytes
from kernelsight.surfaces.supervisor.watch import Figures, Watch

_LOOK_EVERY_S = 1.0
_LINE_EVERY_S = 60.0
_STYLES = {"healthy": "bold green", "findings": "bold red", "unknown": "bold yellow"}


class PlainView:
    """Lines: what the parts say on stderr, a status every minute on stdout."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._next = time.monotonic() + _LINE_EVERY_S
        self._listener = select.poll()
        self._listener.register(sys.stdout.fileno(), 0)  # errors and hang-ups are told without being asked for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, part: str, text: str) -> None:
        """Pass on what a part says."""
        click.echo(f"{part}: {printable(text)}", err=True)

    def tick(self) -> None:
        """Print a status line when one is due.

        Raises:
            BrokenPipeError: nobody reads standard output any more, which is not left to the next line to find out.
        """
        if self._listener.poll(0):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LINE_EVERY_S
        figures = self._watch.look()
        click.echo(f"{status_line(figures)} · {verdict(figures)}")


class LiveView:
    """A panel that fits 80x24, drawn again every second; what the parts say scrolls by above it."""

    def __init__(self, watch: Watch, notes: str, *, asks: bool) -> None:
        self._watch = watch
        self._notes = notes
        self._asks = asks
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._next = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._live.stop()

    def say(self, part: str, text: str) -> None:
        """Print what a part says above the panel."""
        self._console.print(Text(f"{part}: {printable(text)}", style="yellow"))

    def tick(self) -> None:
        """Draw the panel when a second has passed."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOOK_EVERY_S
            self._live.update(self._panel(self._watch.look()), refresh=True)

    def _panel(self, figures: Figures) -> Text:
        size = shutil.get_terminal_size()
        lines = [(f"KernelSight → {self._watch.db_path}", "dim")]
        style = _STYLES[figures.verdict.answer] if figures.verdict else "dim"
        lines.append((verdict(figures, asks=self._asks), style))
        lines.append((status_line(figures), "bold"))
        lines += collectors(figures)
        if self._notes:
            lines.append((self._notes, "dim"))
        lines.append(("Ctrl-C stops and stores everything that was collected", "dim"))
        wrapped = [(part, style) for text, style in lines for part in _wrapped(text, size.columns - 1)]
        return Text("\n").join(Text(text, style) for text, style in _fitting(wrapped, size.lines - 1))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), max(width, 20), subsequent_indent="  ", break_on_hyphens=False) or [""]


def _fitting(lines: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """The lines, those in the middle left out where the terminal has too few for all."""
    if len(lines) <= most:
        return lines
    kept = max(most - 2, 1)
    return [*lines[:kept], (f"… {len(lines) - kept - 1} more lines; `kernelsight status` prints all", "dim"), lines[-1]]


def collectors(figures: Figures) -> Iterator[tuple[str, str]]:
    """Which collectors run, and why the others do not, each reason once: lines with their styles."""
    if not figures.collectors:
        yield "starting …", "dim"
        return
    running = [str(report["name"]) for report in figures.collectors if report["status"] == "running"]
    yield f"{len(running)} collectors run: {', '.join(running)}", "green"
    for status, style in (("failed", "red"), ("unavailable", "yellow")):
        stopped = [
            (str(report["name"]), str(report["reason"] or "no reason is given"))
            for report in figures.collectors
            if report["status"] == status
        ]
        for reason, names in by_reason(stopped).items():
            yield f"{status}: {', '.join(names)}: {reason}", style


def verdict(figures: Figures, *, asks: bool = True) -> str:
    """What the agent said last."""
    if figures.verdict:
        return figures.verdict.text
    return "No verdict yet" if asks else "No verdict: the agent does not run; `kernelsight diagnose` gives one"


def status_line(figures: Figures) -> str:
    """How it goes, in one line."""
    running = sum(report["status"] == "running" for report in figures.collectors)
    parts = [
        f"{figures.seconds:.0f} s",
        f"{running} collectors",
        f"{figures.per_second:,.0f} events/s",
        f"{figures.totals.stored:,} stored",
        human_bytes(figures.size_bytes),
        figures.troubles,
    ]
    return " · ".join(parts)


def on_terminal() -> bool:
    """Whether a person watches."""
    return sys.stdout.isatty() and Console().is_terminal
