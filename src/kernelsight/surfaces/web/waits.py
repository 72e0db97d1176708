"""Who waits for whom: the greatest waits of a time, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kernelsight.events.declare import kind_of
from kernelsight.events.fields import name_of
from kernelsight.events.scheduler import Wait
from kernelsight.printable import printable
from kernelsight.quantities import quantity
from kernelsight.query.filters import Condition, Filter
from kernelsight.query.times import TimeRange
from kernelsight.query.top import top
from kernelsight.stores.base import Reader, Value

_MOST = 14
_ROW, _BOX, _GAP, _LABEL = 34, 220, 260, 96
"""Height of a row, width of a box, the distance between two columns, and the width of a label, in units of its own."""


class Edge(NamedTuple):
    """Waits of one process that another one ended."""

    pid: int
    comm: str
    other_pid: int
    other_comm: str
    waits_in: str
    wait_ns: float
    seconds: int
    """In so many seconds there were some."""
    longest_ns: float
    """In one second."""


class Waits(NamedTuple):
    """The greatest waits: of one process and for it, or of the machine."""

    of_it: Sequence[Edge]
    for_it: Sequence[Edge]


def waits_of(reader: Reader, when: TimeRange, pid: int | None = None) -> Waits:
    """The greatest waits in a range: all of them, or those that a process has part in."""
    if pid is None:
        return Waits(_edges(reader, when, [Filter(Wait.waker_pid, ">", 0)]), ())
    of_it = _edges(reader, when, [Filter(Wait.pid, "=", pid)])
    for_it = _edges(reader, when, [Filter(Wait.waker_pid, "=", pid)])
    return Waits(of_it, [_turned(edge) for edge in for_it])


def _edges(reader: Reader, when: TimeRange, where: Sequence[Condition]) -> list[Edge]:
    columns = (Wait.pid, Wait.comm, Wait.waker_pid, Wait.waker_comm, Wait.waits_in)
    by = [name_of(column) for column in columns]
    table, metric = kind_of(Wait).table, name_of(Wait.wait_ns)
    rows = top(reader, table, metric, when.start_ns, when.end_ns, by=by, n=_MOST, function="sum", where=where)
    return [_edge([row[name] for name in by], row) for row in rows]


def _edge(values: Sequence[Value], row: Mapping[str, Any]) -> Edge:
    pid, comm, other_pid, other_comm, waits_in = values
    other = "an interrupt or a timer" if not other_pid else str(other_comm or "?")
    return Edge(
        int(pid or 0), printable(str(comm or "?")), int(other_pid or 0), printable(other),
        printable(str(waits_in or "")), float(row["value"] or 0), int(row["count"]), float(row["max"] or 0),
    )  # fmt: skip


def _turned(edge: Edge) -> Edge:
    return edge._replace(pid=edge.other_pid, comm=edge.other_comm, other_pid=edge.pid, other_comm=edge.comm)


class Box(NamedTuple):
    """A process in a picture."""

    x: float
    y: float
    name: str
    detail: str
    path: str


class Arrow(NamedTuple):
    """A wait in a picture: from who waits to who ends it."""

    curve: str
    width: float
    label: str
    x: float
    y: float


class Picture(NamedTuple):
    """Boxes and arrows, in units of their own."""

    width: int
    height: int
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    text: str
    """The same in words."""


def waits_picture(waits: Waits) -> Picture | None:
    """Who waits on the left, who ends the wait on the right; of a process, it stands in the middle."""
    edges = [*waits.of_it, *(_turned(edge) for edge in waits.for_it)]
    if not edges:
        return None
    centre = (waits.of_it or waits.for_it)[0].pid if waits.for_it else None
    columns: list[list[tuple[int, str]]] = [[], [], []]
    for edge in waits.for_it:
        _add(columns[0], (edge.other_pid, edge.other_comm))
    for edge in waits.of_it:
        _add(columns[1], (edge.pid, edge.comm))
        _add(columns[2], (edge.other_pid, edge.other_comm))
    if centre is not None and not columns[1]:
        _add(columns[1], (waits.for_it[0].pid, waits.for_it[0].comm))
    shown = [column for column in columns if column]
    rows = max(map(len, shown))
    places = {
        (number, key): (number * (_BOX + _GAP), (place + (rows - len(column)) / 2) * _ROW)
        for number, column in enumerate(shown)
        for place, key in enumerate(column)
    }
    most = max(edge.wait_ns for edge in edges) or 1.0
    middle = 1 if columns[0] else 0
    arrows: list[Arrow] = []
    for column, edges_between in ((0, waits.for_it), (middle, waits.of_it)):
        for edge in edges_between:
            own, other = (edge.pid, edge.comm), (edge.other_pid, edge.other_comm)
            waiter, waker = (other, own) if edges_between is waits.for_it else (own, other)
            beside = sum(arrow.y == places[column, waiter][1] + _ROW / 2 - 7 for arrow in arrows) * _LABEL
            arrows.append(_arrow(edge, places[column, waiter], places[column + 1, waker], most, beside))
    boxes = [Box(x, y, _short(key[1]), f"{key[0]}" if key[0] else "", f"/processes/{key[0]}" if key[0] else "")
             for (_, key), (x, y) in places.items()]  # fmt: skip
    words = "; ".join(
        f"{edge.comm} {edge.pid} waits {quantity(edge.wait_ns, 'ns')} for {edge.other_comm}" for edge in edges[:_MOST]
    )
    width = len(shown) * _BOX + (len(shown) - 1) * _GAP
    return Picture(width, rows * _ROW, boxes, arrows, words)


def _add(column: list[tuple[int, str]], key: tuple[int, str]) -> None:
    if key not in column:
        column.append(key)


def _arrow(edge: Edge, start: tuple[float, float], end: tuple[float, float], most: float, beside: float) -> Arrow:
    x1, y1 = start[0] + _BOX, start[1] + _ROW / 2 - 3
    x2, y2 = end[0] - 4, end[1] + _ROW / 2 - 3
    bend = (x2 - x1) / 2
    label = f"{quantity(edge.wait_ns, 'ns')} {edge.waits_in}".strip()
    return Arrow(
        f"M{x1:.0f},{y1:.0f} C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}",
        round(1 + 5 * edge.wait_ns / most, 1), label, x1 + 8 + beside, y1 - 4,
    )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"
