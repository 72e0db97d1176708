"""Two metrics side by side: each point of one with the nearest in time of the other, and how they move together.

The join goes through the range in slices of time, each found through the store's time index, and merges the
two ordered streams: the work is that of reading both once, whatever the tolerance, and the memory that of a slice.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, TypeVar

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Where, conditions
from kernelsight.query.planner import explainable, scan
from kernelsight.query.points import Selection, longest_gap_ns, metric_named, points_sql
from kernelsight.query.rows import Row, decoded, with_time
from kernelsight.query.source import Source, clipped, columns_named, kind_named, opened
from kernelsight.query.times import Duration, Time, TimeRange, parse_duration, time_range
from kernelsight.stores.base import Reader, Value

T = TypeVar("T")
Direction = Literal["nearest", "before", "after"]
"""Where to look for the other point: on either side (the earlier of two equally near), or on one."""

SLICE_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Pair:
    """One point of ``a`` and the point of ``b`` that belongs to it; None where there is none within the tolerance."""

    timestamp: int
    labels: tuple[Value, ...]
    a: float
    b: float | None
    apart_ns: int | None
    """Time of ``b`` less time of ``a``."""


@explainable
def asof_join(  # noqa: PLR0913 - a question has as many parts, all but the first five by keyword
    source: Source,
    a: str,
    b: str,
    start: Time,
    end: Time = "now",
    *,
    tolerance: Duration = "1s",
    direction: Direction = "nearest",
    by: Iterable[str] | str = (),
    where_a: Where = (),
    where_b: Where = (),
    limit: int | None = None,
    explain: bool = False,  # noqa: ARG001 - of the decorator
) -> list[Row]:
    """Each point of one metric with the point of another that is nearest in time.

    Args:
        source: the store.
        a: table and metric, such as ``syscall_events.latency_ns``; counters are rates a second.
        b: the same. Where its table has several entities (devices, interfaces), pick one by ``where_b``.
        start: first moment of ``a``.
        end: last moment of ``a``.
        tolerance: how far apart the two may be, this included.
        direction: on which side of ``a`` to look, see :data:`Direction`.
        by: columns of ``a``'s table to show.
        where_a: conditions on rows of ``a``.
        where_b: conditions on rows of ``b``.
        limit: the first so many.
        explain: give how the question was answered instead, see :func:`kernelsight.query.planner.explain`.

    Returns:
        one dict a point of ``a``, ordered by time: ``timestamp``, ``time``, the columns of ``by``, ``a``, ``b``
        and ``apart_ns`` (both None where nothing is near enough).
    """
    join = _Join(a, b, time_range(start, end), parse_duration(tolerance), direction, by, where_a, where_b)
    if limit is not None and limit < 0:
        raise UsageError(f"limit {limit}: give a number of pairs, 0 or more")
    with opened(source) as reader:
        pairs = join.scanned(reader, lambda using: list(islice(join.pairs(using), limit)))
    return [join.row(pair) for pair in pairs]


@explainable
def correlate(  # noqa: PLR0913 - as above
    source: Source,
    a: str,
    b: str,
    start: Time,
    end: Time = "now",
    *,
    tolerance: Duration = "1s",
    direction: Direction = "nearest",
    by: Iterable[str] | str = (),
    where_a: Where = (),
    where_b: Where = (),
    explain: bool = False,  # noqa: ARG001 - of the decorator
) -> list[Row]:
    """How two metrics move together, by groups of ``a``; arguments as for :func:`asof_join`.

    Returns:
        one dict a group, most pairs first: the columns of ``by``, ``pairs``, ``unmatched`` (points of ``a`` with
        nothing near enough), ``avg_a`` and ``avg_b`` over the pairs, ``r`` (Pearson's coefficient, -1 to 1;
        None for fewer than three pairs or where one of the two never changes) and ``slope`` (of ``a`` by ``b``).
    """
    join = _Join(a, b, time_range(start, end), parse_duration(tolerance), direction, by, where_a, where_b)
    with opened(source) as reader:
        groups = join.scanned(reader, join.summaries)
    ordered = sorted(groups.items(), key=lambda item: (-int(item[1]["pairs"] or 0), str(item[0])))
    return [decoded(join.a.kind, dict(zip(join.a.keep, labels, strict=True))) | summary for labels, summary in ordered]


class _Join:
    """Both sides of a join, checked."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a person gave, in the order of the public functions
        self,
        a: str,
        b: str,
        when: TimeRange,
        tolerance_ns: int,
        direction: Direction,
        by: Iterable[str] | str,
        where_a: Where,
        where_b: Where,
    ) -> None:
        if direction not in {"nearest", "before", "after"}:
            raise UsageError(f"direction {direction!r}: give nearest, before or after")
        self.back_ns = 0 if direction == "after" else tolerance_ns
        self.ahead_ns = 0 if direction == "before" else tolerance_ns
        self.a = _side(a, when, where_a, by)
        around = TimeRange(max(0, when.start_ns - self.back_ns), min(INT64_MAX, when.end_ns + self.ahead_ns))
        self.b = _side(b, around, where_b, ())

    def scanned(self, reader: Reader, ask: Callable[[Reader], T]) -> T:
        """What is asked of the pairs, by row or by column."""
        if not reader.holds(self.b.kind.table):
            return ask(reader)
        return scan(reader, [(side.kind.table, side.when) for side in (self.a, self.b)], ask)

    def row(self, pair: Pair) -> Row:
        """A pair as it is handed out."""
        labels = decoded(self.a.kind, dict(zip(self.a.keep, pair.labels, strict=True)))
        values = {"a": pair.a, "b": pair.b, "apart_ns": pair.apart_ns}
        return with_time({"timestamp": pair.timestamp, **labels, **values})

    def summaries(self, reader: Reader) -> dict[tuple[Value, ...], Row]:
        """How the two move together, by the labels of ``a``."""
        part = clipped(reader, self.a.kind.table, self.a.when)
        if part is not None and (joined := self._joined(reader, part)) is not None:
            return self._summed(reader, joined)
        groups: dict[tuple[Value, ...], _Moments] = {}
        for pair in self.pairs(reader):
            moments = groups.get(pair.labels)
            if moments is None:
                moments = groups[pair.labels] = _Moments()
            moments.add(pair.a, pair.b)
        return {labels: moments.summary() for labels, moments in groups.items()}

    def _summed(self, reader: Reader, joined: Sql) -> dict[tuple[Value, ...], Row]:
        labels = [f"label_{number}" for number in range(len(self.a.keep))]
        known = "COUNT(b) >= 3 AND MIN(a) FILTER (b IS NOT NULL) < MAX(a) FILTER (b IS NOT NULL) AND MIN(b) < MAX(b)"
        text = (
            f"SELECT {''.join(f'{name}, ' for name in labels)}COUNT(b) AS pairs, COUNT(*) - COUNT(b) AS unmatched,"
            " AVG(a) FILTER (b IS NOT NULL) AS avg_a, AVG(b) AS avg_b,"
            f" CASE WHEN {known} THEN CORR(a, b) END AS r, CASE WHEN {known} THEN REGR_SLOPE(a, b) END AS slope"
            f" FROM ({joined.text}) AS pairs{' GROUP BY ' if labels else ' HAVING COUNT(*) > 0'}{', '.join(labels)}"
        )
        rows = run(reader, Sql(text, joined.params))
        return {tuple(row.pop(name) for name in labels): row for row in rows}

    def _joined(self, reader: Reader, part: TimeRange) -> Sql | None:
        """The pairs as one SELECT, where the store can join by time."""
        around = TimeRange(max(0, part.start_ns - self.back_ns), min(INT64_MAX, part.end_ns + self.ahead_ns))
        sides = (replace(self.a, when=part), replace(self.b, when=around))
        names = [f", {name} AS label_{number}" for number, name in enumerate(self.a.keep)]
        labels = [f"label_{number}" for number in range(len(self.a.keep))]
        if reader.dialect.nearest("", "", labels, 0, 0) is None:
            return None
        selects = []
        for side, value, kept in zip(sides, ("a", "b"), (names, []), strict=True):
            points, metric = points_sql(reader, side), side.metrics[0]
            selects.append(
                Sql(
                    f"SELECT timestamp{''.join(kept)}, {metric} AS {value} FROM ({points.text}) AS points"
                    f" WHERE {metric} IS NOT NULL",
                    points.params,
                )
            )
        left, right = selects
        text = reader.dialect.nearest(left.text, right.text, labels, self.back_ns, self.ahead_ns)
        return None if text is None else Sql(text, (*left.params, *right.params))

    def pairs(self, reader: Reader) -> Iterator[Pair]:
        """All points of ``a`` in order, each with its point of ``b``."""
        part = clipped(reader, self.a.kind.table, self.a.when)
        if part is None:
            return
        if (joined := self._joined(reader, part)) is not None:
            order = ", ".join(("timestamp", *(f"label_{number}" for number in range(len(self.a.keep))), "a"))
            for timestamp, *labels, a, b, at in reader.tuples(f"{joined.text} ORDER BY {order}", joined.params):
                apart = None if at is None else at - timestamp  # type: ignore[operator] # stamps are integers
                yield Pair(timestamp, tuple(labels), a, b, apart)  # type: ignore[arg-type] # as declared
            return
        gap_a, gap_b = (longest_gap_ns(reader, side) if side.counters else 0 for side in (self.a, self.b))
        for when in _slices(reader, self.a.kind.table, part):
            around = TimeRange(max(0, when.start_ns - self.back_ns), min(INT64_MAX, when.end_ns + self.ahead_ns))
            left = _points(reader, self.a, when, gap_a)
            right = _points(reader, self.b, around, gap_b)
            times = [row["timestamp"] for row in right]
            values = [row[self.b.metrics[0]] for row in right]
            yield from self._merged(left, times, values)  # type: ignore[arg-type] # the columns' types are declared

    def _merged(self, left: list[Row], times: Sequence[int], values: Sequence[float]) -> Iterator[Pair]:
        metric, keep = self.a.metrics[0], self.a.keep
        position = 0
        for row in left:
            at: int = row["timestamp"]  # type: ignore[assignment] # the column's type is declared
            position = bisect_left(times, at, lo=position)
            match = self._match(times, at, position)
            yield Pair(
                timestamp=at,
                labels=tuple(row[name] for name in keep),
                a=row[metric],  # type: ignore[arg-type]
                b=None if match is None else values[match],
                apart_ns=None if match is None else times[match] - at,
            )

    def _match(self, times: Sequence[int], at: int, position: int) -> int | None:
        """Index of the point that belongs to ``at``; ``position`` is that of the first not before it."""
        ahead = times[position] - at if position < len(times) else None
        if ahead == 0:
            return position
        back = at - times[position - 1] if position else None
        if back is not None and back <= self.back_ns and (ahead is None or back <= ahead or not self.ahead_ns):
            return position - 1
        return position if ahead is not None and ahead <= self.ahead_ns else None


def _side(name: str, when: TimeRange, where: Where, by: Iterable[str] | str) -> Selection:
    table, dot, metric = name.rpartition(".")
    if not dot:
        raise UsageError(f"{name!r} is not a table and a metric; write for example memory_metrics.mem_available_kb")
    kind = kind_named(table)
    metric_named(kind, metric)
    keep = columns_named(kind, by)
    return Selection(kind, (metric,), when, tuple(conditions(where)), keep=keep)


def _points(reader: Reader, side: Selection, when: TimeRange, gap_ns: int) -> list[Row]:
    part = Selection(side.kind, side.metrics, when, side.conditions, keep=side.keep)
    sql = points_sql(reader, part, gap_ns)
    columns = ", ".join(dict.fromkeys(("timestamp", *side.keep, *side.metrics)))
    text = f"SELECT {columns} FROM ({sql.text}) AS points WHERE {side.metrics[0]} IS NOT NULL ORDER BY {columns}"
    return run(reader, Sql(text, sql.params))


def _slices(reader: Reader, table: str, when: TimeRange) -> Iterator[TimeRange]:
    """The range cut until no part has more rows than a slice may have, or is shorter than a millisecond."""
    relation, params = reader.relation(table, when.start_ns, when.end_ns, ["timestamp"])
    [row] = run(reader, Sql(f"SELECT COUNT(*) AS rows_within FROM {relation} AS counted", params))
    within = row["rows_within"]
    assert isinstance(within, int)
    if within <= SLICE_ROWS or when.length_ns < 1_000_000:
        yield when
        return
    middle = when.start_ns + when.length_ns // 2
    yield from _slices(reader, table, TimeRange(when.start_ns, middle - 1))
    yield from _slices(reader, table, TimeRange(middle, when.end_ns))


class _Moments:
    """Means and co-moments of pairs, updated one by one (Welford), so that large values lose no digits."""

    __slots__ = ("ab", "avg_a", "avg_b", "pairs", "square_a", "square_b", "unmatched")

    def __init__(self) -> None:
        self.pairs = self.unmatched = 0
        self.avg_a = self.avg_b = self.square_a = self.square_b = self.ab = 0.0

    def add(self, a: float, b: float | None) -> None:
        if b is None:
            self.unmatched += 1
            return
        self.pairs += 1
        off_a, off_b = a - self.avg_a, b - self.avg_b
        self.avg_a += off_a / self.pairs
        self.avg_b += off_b / self.pairs
        self.square_a += off_a * (a - self.avg_a)
        self.square_b += off_b * (b - self.avg_b)
        self.ab += off_a * (b - self.avg_b)

    def summary(self) -> Row:
        known = self.pairs >= 3 and self.square_a > 0 and self.square_b > 0
        return {
            "pairs": self.pairs,
            "unmatched": self.unmatched,
            "avg_a": self.avg_a if self.pairs else None,
            "avg_b": self.avg_b if self.pairs else None,
            "r": self.ab / math.sqrt(self.square_a * self.square_b) if known else None,
            "slope": self.ab / self.square_b if known else None,
        }
