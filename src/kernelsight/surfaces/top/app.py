"""The screen of `kernelsight top` and `kernelsight replay`: it shows, and changes nothing on the machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from kernelsight.errors import KernelSightError
from kernelsight.moments import to_second
from kernelsight.printable import printable
from kernelsight.query.source import extent
from kernelsight.stores.base import Reader
from kernelsight.surfaces.top.look import NS_PER_S, Look
from kernelsight.surfaces.top.machine import machine_line, pressure_line
from kernelsight.surfaces.top.rows_widget import Rows
from kernelsight.surfaces.top.table import Order, View, shown
from kernelsight.surfaces.top.views import VIEWS
from kernelsight.surfaces.verdict import latest

_STYLES = {"healthy": "bold green", "findings": "bold red", "unknown": "bold yellow"}
_VERDICT_LINES = 2
_SETTLED_NS = 700_000_000
"""Rows of a second are in the store so long after it."""
_VERDICT_REACH_NS = 86_400 * NS_PER_S
"""A verdict holds until the next one, but who stopped the agent yesterday has none."""
_SAMPLED = ("process_stats", "cpu_stats", "memory_metrics")
_KEYS = "< > sort  r turn  / filter  f follow  ← → second  space play  d diagnose  ? q"
_HELP = (
    "1 … 8, Tab      another view",
    "< >             sort by the column to the left, to the right",
    "r               turn the order round",
    "/               show only rows that contain a text; Esc shows all again",
    "f               follow the row under the cursor wherever the order moves it",
    "↑ ↓ PgUp PgDn   move the cursor",
    "← →             one second back, one on; with Shift ten; [ ] a minute",
    "Home, End       the first, the last recorded second",
    "space           play on: live at the end of the records, else a second each second",
    "d               diagnose the minute that ends at this second",
    "q               quit",
    "",
    "Nothing here changes the machine: no process is ended and no priority is set.",
)
Diagnose = Callable[[int], list[tuple[str, str]]]
"""The lines of a report, with their styles, about the minute that ends at a moment (ns)."""


class Page(ModalScreen[None]):
    """Lines to read, above the table."""

    DEFAULT_CSS = "Page { background: $background; } Page Static { text-wrap: wrap; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,d,question_mark", "dismiss", "back")]

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        """The lines, and how to go back."""
        told = Text("\n").join(
            Text(printable(text), style) for text, style in [*self._lines, ("", ""), ("Esc: back", "dim")]
        )
        with VerticalScroll():
            yield Static(told)


class Top(App[None]):
    """The machine in one second."""

    CSS = """
    Screen { layout: vertical; }
    Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    #verdict { text-wrap: wrap; }
    Input { dock: bottom; display: none; height: 1; border: none; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(view.key, f"view({at})", view.name) for at, view in enumerate(VIEWS)),
        Binding("tab", "next_view", "next view", priority=True),
        Binding("less_than_sign,comma", "sort(-1)", "sort by the column to the left"),
        Binding("greater_than_sign,full_stop", "sort(1)", "sort by the column to the right"),
        Binding("r", "turn", "turn the order round"),
        Binding("slash", "filter", "filter"),
        Binding("escape", "no_filter", "show all"),
        Binding("f", "follow", "follow"),
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown", "page(1)"),
        Binding("left", "step(-1)", "a second back"),
        Binding("right", "step(1)", "a second on"),
        Binding("shift+left", "step(-10)"),
        Binding("shift+right", "step(10)"),
        Binding("left_square_bracket", "step(-60)"),
        Binding("right_square_bracket", "step(60)"),
        Binding("home", "end(False)"),
        Binding("end", "end(True)"),
        Binding("space", "play", "play on"),
        Binding("d", "diagnose", "diagnose"),
        Binding("question_mark,h", "help", "help"),
        Binding("q,ctrl+c", "quit", "quit", priority=True),
    ]

    def __init__(
        self, reader: Reader, db_path: str, *, at_ns: int | None = None, every_s: float = 1.0, diagnose: Diagnose
    ) -> None:
        """Show a store.

        Args:
            reader: of the store.
            db_path: what it is called.
            at_ns: the second to begin with, standing still; None: live.
            every_s: between two looks.
            diagnose: what `d` asks.
        """
        super().__init__()
        self._reader = reader
        self._db_path = db_path
        self._diagnose = diagnose
        self._every_s = every_s
        self.at_ns = at_ns
        """The second that is shown; None: the newest one."""
        self.is_playing = at_ns is None
        self.view_at = 0
        self._orders = {view.name: Order(view.sorts_by) for view in VIEWS}
        self._rows = Rows(VIEWS[0])
        self._verdict, self._machine, self._tabs = Static(id="verdict"), Static(id="machine"), Static(id="tabs")
        self._filter = Input(placeholder="rows that contain …", compact=True)

    @property
    def view(self) -> View:
        """What is shown."""
        return VIEWS[self.view_at]

    @property
    def order(self) -> Order:
        """How."""
        return self._orders[self.view.name]

    def compose(self) -> ComposeResult:
        """From the verdict down to the keys."""
        yield self._verdict
        yield self._machine
        yield self._tabs
        yield self._rows
        yield Static(Text(_KEYS, "dim"), id="keys")
        yield self._filter

    def on_mount(self) -> None:
        """Show the first second, and then the others."""
        self.set_interval(self._every_s, self.tick)
        self._rows.focus()
        self.draw()

    def tick(self) -> None:
        """A second has passed."""
        if not self.is_playing:
            return
        if self.at_ns is not None:
            self.at_ns += round(self._every_s * NS_PER_S)
            if self.at_ns >= self._newest_ns():
                self.at_ns = None
        self.draw()

    def on_resize(self) -> None:
        """Draw in the new size."""
        self.draw()

    def draw(self) -> None:
        """Read the second that is shown, and draw it."""
        at_ns = self._newest_ns() if self.at_ns is None else self.at_ns
        look = Look(self._reader, at_ns)
        width = self.size.width
        self._verdict.update(self._verdict_text(at_ns, width))
        state = "live" if self.at_ns is None else "playing" if self.is_playing else "still"
        lines = [f"{to_second(at_ns)} {state}  {machine_line(look)}", pressure_line(look)]
        self._machine.update(Text("\n").join(Text(printable(text)) for text in lines))
        self._rows.show(self.view, self.order, shown(self.view, look, self.order))
        self._tabs.update(self._tab_text())

    def _newest_ns(self) -> int:
        """The last second of which the rows are there."""
        known = extent(self._reader, _SAMPLED)
        now = time.time_ns() - _SETTLED_NS
        return now if known is None else min(now, known.end_ns)

    def _verdict_text(self, at_ns: int, width: int) -> Text:
        verdict = latest(self._reader, max(0, at_ns - _VERDICT_REACH_NS), at_ns)
        if verdict is None:
            return Text("No verdict: the agent did not look; d diagnoses this minute", "dim")
        most = max(width * _VERDICT_LINES - 1, 20)
        text = printable(verdict.text)
        return Text(text if len(text) <= most else f"{text[: most - 1]}…", _STYLES[verdict.answer])

    def _tab_text(self) -> Text:
        told = Text()
        for view in VIEWS:
            told.append(f"{view.key} {view.name} ", "reverse" if view is self.view else "")
        rows = self._rows.shown
        wanted = f" /{self.order.wanted}" if self.order.wanted else ""
        told.append(f" {len(rows.rows)}/{rows.of}{wanted}", "dim")
        return told

    def action_view(self, at: int) -> None:
        """Show another view."""
        self.view_at = at
        self.draw()

    def action_next_view(self) -> None:
        """Show the next view."""
        self.action_view((self.view_at + 1) % len(VIEWS))

    def action_sort(self, step: int) -> None:
        """Sort by another column."""
        self.order.column = (self.order.column + step) % len(self.view.heads)
        self.draw()

    def action_turn(self) -> None:
        """Turn the order round."""
        self.order.is_up = not self.order.is_up
        self.draw()

    def action_filter(self) -> None:
        """Ask for a text."""
        self._filter.value = self.order.wanted
        self._filter.display = True
        self._filter.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what contains the text while it is typed."""
        self.order.wanted = event.value
        self.draw()

    def on_input_submitted(self) -> None:
        """Keep the filter, and go back to the rows."""
        self._filter.display = False
        self._rows.focus()

    def action_no_filter(self) -> None:
        """Show all rows."""
        self.order.wanted = ""
        self._filter.value = ""
        self.on_input_submitted()
        self.draw()

    def action_follow(self) -> None:
        """Follow the row under the cursor."""
        self._rows.toggle_follow()

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        self._rows.move(lines)

    def action_page(self, pages: int) -> None:
        """Move the cursor by as many rows as are shown."""
        self._rows.move(pages * self._rows.page)

    def action_step(self, seconds: int) -> None:
        """Stand still some seconds before or after."""
        at_ns = self._newest_ns() if self.at_ns is None else self.at_ns
        known = extent(self._reader, _SAMPLED)
        first_ns = known.start_ns if known else at_ns
        self.at_ns = max(first_ns, min(at_ns + seconds * NS_PER_S, self._newest_ns()))
        self.is_playing = False
        self.draw()

    def action_end(self, last: bool) -> None:  # noqa: FBT001 - as the binding calls it
        """Stand still at the first or the last recorded second."""
        self.action_step(10**9 if last else -(10**9))

    def action_play(self) -> None:
        """Play on, or stand still."""
        self.is_playing = not self.is_playing
        if not self.is_playing and self.at_ns is None:
            self.at_ns = self._newest_ns()
        self.draw()

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(Page([(text, "") for text in _HELP]))

    def action_diagnose(self) -> None:
        """Diagnose the minute that ends here, while the screen goes on."""
        at_ns = self._newest_ns() if self.at_ns is None else self.at_ns
        self._tabs.update(Text("diagnosing the last minute …", "bold"))
        self.run_worker(lambda: self._diagnosed(at_ns), thread=True, exclusive=True)

    def _diagnosed(self, at_ns: int) -> None:
        lines: list[tuple[str, str]]
        try:
            lines = self._diagnose(at_ns)
        except KernelSightError as error:
            lines = [(str(error), "bold red")]
        with contextlib.suppress(RuntimeError):  # the screen has been closed meanwhile
            self.call_from_thread(self.push_screen, Page(lines))
