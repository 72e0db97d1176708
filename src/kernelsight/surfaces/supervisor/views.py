"""What a person sees while the system runs: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kernelsight.printable import printable
from kernelsight.surfaces.figures import human_bytes
from kernelsight.surfaces.supervisor.watch import Figures, Watch

_LOOK_EVERY_S = 1.0
_LINE_EVERY_S = 5.0


class PlainView:
    """Lines: what the parts say on stderr, a status every few seconds on stdout."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._next = time.monotonic() + _LINE_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, part: str, text: str) -> None:
        """Pass on what a part says."""
        click.echo(f"{part}: {printable(text)}", err=True)

    def tick(self) -> None:
        """Print a status line when one is due."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LINE_EVERY_S
        click.echo(status_line(self._watch.look()))


class LiveView:
    """A panel that is drawn again every second; what the parts say scrolls by above it."""

    def __init__(self, watch: Watch, notes: str) -> None:
        self._watch = watch
        self._notes = notes
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

    def _panel(self, figures: Figures) -> RenderableType:
        lines = [Text(status_line(figures), style="bold"), _collectors(figures)]
        if self._notes:
            lines.append(Text(self._notes, style="dim"))
        lines.append(Text("Ctrl-C stops and stores everything that was collected", style="dim"))
        return Panel(Group(*lines), title=f"KernelSight → {self._watch.db_path}", title_align="left")


def _collectors(figures: Figures) -> RenderableType:
    if not figures.collectors:
        return Text("starting …")
    table = Table("collector", "source", "state", "events", "why not", box=None, header_style="dim")
    style = {"running": "green", "unavailable": "yellow", "failed": "red"}
    for report in figures.collectors:
        state = str(report["status"])
        table.add_row(
            Text(printable(str(report["name"]))),
            Text(printable(str(report["source"] or ""))),
            Text(state, style=style.get(state, "")),
            Text(f"{report['events'] or 0:,}", justify="right"),
            Text(printable(str(report["reason"] or ""))),
        )
    return table


def status_line(figures: Figures) -> str:
    """How it goes, in one line."""
    running = sum(report["status"] == "running" for report in figures.collectors)
    parts = [
        f"{figures.seconds:.0f} s",
        f"{running} collectors",
        f"{figures.per_second:,.0f} events/s",
        f"{figures.rows:,} rows in {figures.tables} tables",
        human_bytes(figures.size_bytes),
        figures.troubles,
    ]
    return " · ".join(parts)


def on_terminal() -> bool:
    """Whether a person watches."""
    return sys.stdout.isatty() and Console().is_terminal
