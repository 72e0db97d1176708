"""Counters as rates, sample by sample: what rules measure of kinds that are sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from operator import itemgetter

from kernelsight.events.declare import Counter
from kernelsight.events.deltas import REACH, growth, in_order, only_grows
from kernelsight.signals.model import LOOKBACK_S, SECOND_NS
from kernelsight.stores.base import Row, Value

Key = tuple[Value, ...]
_LONGEST_NS = LOOKBACK_S * SECOND_NS
_KEPT = 2 * REACH
"""Samples of an entity that are kept while one of its counters is not on its course."""


class Rates:
    """Remembers the last samples of each entity: two, or so many as tell how a counter goes on that fell."""

    def __init__(self, key: slice, counters: Mapping[int, Counter]) -> None:
        """Say where in a row, whose first column is the stamp, the entity and the counters are."""
        self._key = key
        self._counters = counters
        self._history: dict[Key, list[Row]] = {}
        """The last sample first."""
        self._fallen: set[Key] = set()
        """Entities that have a counter that is not on its course."""

    def in_order(self, rows: list[Row], arrival: int) -> list[Row]:
        """Rows by time as they were taken, of each entity; ``arrival`` is the place of what follows their arrival."""
        if all(a[arrival] < b[arrival] for a, b in pairwise(rows)):  # type: ignore[operator] # ids are numbers
            return rows
        series: dict[Key, list[Row]] = {}
        for row in sorted(rows, key=itemgetter(arrival)):
            series.setdefault(row[self._key], []).append(row)
        counters = [_number_at(place) for place in self._counters]
        return [row for its in in_order(series.values(), _stamp, counters) for row in its]

    def take(self, row: Row) -> Sequence[Value]:
        """The entity's next sample: the row, with rates a second in place of counters; None where there is none."""
        if not self._counters:
            return row
        key = row[self._key]
        history = self._history.get(key)
        if history is None:
            self._history[key] = [row]
            return self._unknown(row)
        last = history[0]
        elapsed_ns = _stamp(row) - _stamp(last)
        values = list(row)
        calm = key not in self._fallen
        for place, counter in self._counters.items():
            now, before = row[place], last[place]
            if calm and isinstance(now, int) and isinstance(before, int) and now >= before:
                values[place] = (now - before) * SECOND_NS / elapsed_ns if 0 < elapsed_ns <= _LONGEST_NS else None
            else:
                values[place] = _judged(row, history, place, counter)
        if calm and all(_grows(last[place], row[place]) for place in self._counters):
            self._history[key] = [row, last]
        else:
            history.insert(0, row)
            self._settle(key, history)
        return values

    def forget_before(self, oldest_ns: int) -> None:
        """Entities that were not seen since are others when they are seen again."""
        self._history = {key: rows for key, rows in self._history.items() if _stamp(rows[0]) >= oldest_ns}
        self._fallen &= self._history.keys()

    def _unknown(self, row: Row) -> Sequence[Value]:
        values = list(row)
        for place in self._counters:
            values[place] = None
        return values

    def _settle(self, key: Key, history: list[Row]) -> None:
        """Keep two samples once all counters are on their courses, for as far as they are looked back at."""
        del history[_KEPT:]
        reach = history[:REACH][::-1]
        if len(reach) == REACH and all(_on_course([row[place] for row in reach]) for place in self._counters):
            del history[2:]
            self._fallen.discard(key)
        else:
            self._fallen.add(key)


def _judged(row: Row, history: Sequence[Row], place: int, counter: Counter) -> float | None:
    value, at_ns = row[place], _stamp(row)
    if not isinstance(value, int):
        return None
    known = [(known, _stamp(row_before)) for row_before in history if isinstance(known := row_before[place], int)]
    grown = growth(value, [number for number, _ in known], counter)
    if grown is None or at_ns <= known[0][1]:
        return None
    elapsed_ns = at_ns - known[grown.back - 1][1]
    return grown.amount * SECOND_NS / elapsed_ns if 0 < elapsed_ns <= _LONGEST_NS else None


def _grows(before: Value, now: Value) -> bool:
    if before is None or now is None:
        return before is None and now is None
    return now >= before  # type: ignore[operator] # counters are numbers


def _on_course(values: Sequence[Value]) -> bool:
    return all(value is None for value in values) or only_grows(values)  # type: ignore[arg-type] # as above


def _number_at(place: int) -> itemgetter[int]:
    return itemgetter(place)


def _stamp(row: Row) -> int:
    stamp = row[0]
    assert isinstance(stamp, int)
    return stamp
