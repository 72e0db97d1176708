"""The table of the screen, drawn line by line: a second of 30 lines costs a millisecond."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from kernelsight.surfaces.top.table import Order, Row, Shown, View, line

_HEAD, _SORTED = Style(bold=True, reverse=True), Style(bold=True, reverse=True, underline=True)
_CURSOR, _FOLLOWED, _QUIET = Style(reverse=True), Style(reverse=True, bold=True), Style(dim=True)
_PLAIN = Style()


class Rows(Widget, can_focus=True):
    """The rows of a view, with a cursor that stays on its row, or follows it where it is told to."""

    DEFAULT_CSS = "Rows { height: 1fr; }"
    cursor: reactive[int] = reactive(0)
    follows: reactive[bool] = reactive(default=False)

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.order = Order(view.sorts_by)
        self.shown = Shown((), 0)
        self._first = 0
        self._kept: object = None

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        rows = self.shown.rows
        return rows[self.cursor] if 0 <= self.cursor < len(rows) else None

    def show(self, view: View, order: Order, shown: Shown) -> None:
        """Draw the rows of another second, or of another view."""
        kept = None if view is not self.view else self._kept
        self.view, self.order, self.shown = view, order, shown
        place = next((at for at, row in enumerate(shown.rows) if row.key == kept), None) if self.follows else None
        self.cursor = max(0, min(self.cursor if place is None else place, len(shown.rows) - 1))
        self._scroll()
        self.refresh()

    def move(self, lines: int) -> None:
        """Move the cursor."""
        self.cursor = max(0, min(self.cursor + lines, len(self.shown.rows) - 1))
        self._kept = self.row.key if self.row else None
        self._scroll()
        self.refresh()

    def toggle_follow(self) -> None:
        """Keep the cursor on its row wherever that goes, or no more."""
        self.follows = not self.follows
        self._kept = self.row.key if self.row and self.follows else None
        self.refresh()

    @property
    def page(self) -> int:
        """Lines that fit."""
        return max(self.size.height - 1, 1)

    def _scroll(self) -> None:
        self._first = max(min(self._first, self.cursor), self.cursor - self.page + 1, 0)
        self._first = min(self._first, max(len(self.shown.rows) - self.page, 0))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As much as there is."""
        del viewport, width
        return container.height

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        if y == 0:
            return Strip(self._head(width), width)
        at = self._first + y - 1
        if at < len(self.shown.rows):
            row = self.shown.rows[at]
            texts = [head.text(cell) for head, cell in zip(self.view.heads, row.cells, strict=True)]
            style = (_FOLLOWED if self.follows else _CURSOR) if at == self.cursor else _PLAIN
            return _strip(line(self.view, texts, width), style, width)
        if y == 1:
            text = f"no row has {self.order.wanted!r}" if self.shown.of else self.view.empty
            return _strip(text, _QUIET, width)
        return Strip.blank(width)

    def _head(self, width: int) -> Sequence[Segment]:
        titles = [head.title for head in self.view.heads]
        whole = line(self.view, titles, width).ljust(width)
        title = titles[self.order.column]
        before, found, after = whole.partition(title)
        return [Segment(before, _HEAD), Segment(found, _SORTED), Segment(after, _HEAD)]


def _strip(text: str, style: Style, width: int) -> Strip:
    return Strip([Segment(text, style)]).adjust_cell_length(width, style)
