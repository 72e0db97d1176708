"""Which time of a window was recorded, and by which kinds: what an answer can be about, and what it cannot exclude.

Judged by the rows themselves, kind by kind, so that a collector of somebody else's, with its own few kinds and its
own pace, is not taken for a gap. What occurs seldom leaves no rows; that somebody watched for it is known from the
reports of its collector.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import pairwise

from kernelsight.diagnosis.how_to_record import how_to_get
from kernelsight.diagnosis.model import NotExcluded
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.spans import Span, common, holes, length, rest, union
from kernelsight.diagnosis.window import NS_PER_S, Window
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Delta, Event, kind_of
from kernelsight.events.wire import kinds
from kernelsight.moments import to_second
from kernelsight.query.source import extent
from kernelsight.query.stored import moment, stored_rows
from kernelsight.query.times import TimeRange

HOLE_S = 5.0
"""Without a row for longer than this, nothing is known: stores are a second or two behind, collectors may skip one."""
MISSED_SAMPLES = 3.0
"""Samples of a slower kind that may be missing in a row before that is a hole."""
SLOWEST_S = 60.0
"""Between samples, at most; what is seen less often is not watched."""
RECORDED_SHARE = 0.5
"""Of the samples that a window could hold at the pace of its rows, the share that must be there."""
WATCHED_SHARE = 0.8
"""Of the recorded time, the share in which the witnesses of a fault must be there for it to be excluded."""
_LEAST_GAPS = 3
"""Gaps between samples from which on they have a pace of their own."""
_MOST_HOLES = 3
"""Said one by one."""
_REPORTS_NS = 30 * NS_PER_S
"""Collectors report every ten seconds: so far around the window there is a report of each."""
_REPORT_EVERY_NS = 10 * NS_PER_S
"""A report speaks of the time since the one before, and, as far as is known, of the time until the next."""

ESSENTIAL: Mapping[str, tuple[str, ...]] = {
    "who runs and who waits for a CPU": ("cpu", "process", "sched_process", "pressure"),
    "memory": ("memory", "process", "vmstat", "pressure"),
}
"""What must have been recorded before anybody can say that nobody suffers, and the kinds of which one is enough."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The seconds in which something has rows, and how far apart they usually are."""

    stamps: tuple[int, ...]
    """In order (ns since the epoch)."""
    pace_s: float

    def holes(self, within: Span) -> list[Span]:
        """Where nothing is known."""
        return holes(self.stamps, within, round(max(HOLE_S, MISSED_SAMPLES * self.pace_s) * NS_PER_S))

    @property
    def is_sparse(self) -> bool:
        """Whether there are too few samples to see their pace."""
        return len(self.stamps) <= _LEAST_GAPS


class Coverage:
    """What is known of a window."""

    def __init__(self, window: Window) -> None:
        self._scene = window
        self._window: Span = (window.when.start_ns, window.when.end_ns)
        self._by_kind: dict[str, Recorded] = {}

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Why nothing can be said of the window or of a part of it, a sentence each; none: all of it is known."""
        if not self._all.stamps:
            return (self._nothing(),)
        gaps = self._all.holes(self._window)
        said = [*map(self._hole, gaps[:_MOST_HOLES])]
        if len(gaps) > _MOST_HOLES:
            more_s = length(gaps[_MOST_HOLES:]) / NS_PER_S
            said.append(f"nor was anything in {len(gaps) - _MOST_HOLES} more stretches, {more_s:.0f} s together")
        whole_s = (self._window[1] - self._window[0]) / NS_PER_S
        samples = len(self._all.stamps)
        if not gaps and samples < RECORDED_SHARE * whole_s / self._all.pace_s:
            said.append(f"only {samples} of some {whole_s / self._all.pace_s:.0f} samples of the window are there")
        return (*said, *self._missing_essentials(gaps))

    @cached_property
    def not_excluded(self) -> tuple[NotExcluded, ...]:
        """The classes of faults that may be there without a row that could show them."""
        known = rest(self._all.holes(self._window), self._window) if self._all.stamps else []
        if not known:
            return ()
        found = []
        watched = cache(partial(self._watched, known=known))
        for fault in fault_classes().values():
            lacking = [term for term in fault.needs if not _is_watched(map(watched, term.split("|")), known)]
            if lacking:
                from kernelsight.collectors.yielding import yielding  # noqa: PLC0415 - loads all, and is seldom needed

                collectors = tuple(dict.fromkeys(name for term in lacking for name in yielding(term.split("|"))))
                found.append(NotExcluded(fault.name, collectors))
        return tuple(found)

    def _watched(self, kind: str, known: Sequence[Span]) -> Sequence[Span]:
        rows = self._of_kind(kind) if kinds()[kind].interval_s is not None else None
        by_rows = rest(rows.holes(self._window), self._window) if rows and rows.stamps else []
        thinned = self._thinned.get(kind, [])
        watched = common(union(by_rows, self._reports.get(kind, [])), known)
        return common(watched, rest(thinned, self._window)) if thinned else watched

    @cached_property
    def _all(self) -> Recorded:
        essential = {kind for several in ESSENTIAL.values() for kind in several}
        needed = {kind for fault in fault_classes().values() for term in fault.needs for kind in term.split("|")}
        return self._recorded(sorted((self._scene.read | essential | needed) - {"collector"}))

    def _recorded(self, names: Iterable[str]) -> Recorded:
        """The rows of kinds that have a pace; together they are as fast as the fastest."""
        each = [self._of_kind(name) for name in dict.fromkeys(names) if kinds()[name].interval_s is not None]
        stamps = sorted({stamp for one in each for stamp in one.stamps})
        paces = [one.pace_s for one in each if not one.is_sparse]
        return Recorded(tuple(stamps), min(paces, default=1.0))

    def _of_kind(self, name: str) -> Recorded:
        if name not in self._by_kind:
            start, end = self._window
            seconds = _seconds(self._rows(kinds()[name].struct))
            stamps = tuple(min(max(second * NS_PER_S, start), end) for second in seconds)
            self._by_kind[name] = Recorded(stamps, _pace_s(stamps))
        return self._by_kind[name]

    def _rows(self, kind: type[Event]) -> Sequence[Event]:
        """The rows of a kind; nothing but the stamps of one that no mechanism has asked for."""
        if kind_of(kind).name in self._scene.read:
            return self._scene.rows(kind)
        return stored_rows(self._scene.reader, kind, self._scene.when, columns=())

    @cached_property
    def _reports(self) -> Mapping[str, list[Span]]:
        """When collectors said that they run, by the kinds that they yield."""
        return self._said_by(lambda row: row.status == "running", _REPORTS_NS // 2)

    @cached_property
    def _thinned(self) -> Mapping[str, list[Span]]:
        """When collectors said that they sample some seconds alone, by the kinds of which the others are not known.

        Counters go on in seconds that are not sampled, and the next sample tells what they grew by.
        """
        spans = self._said_by(lambda row: (row.sampled_every or 1) > 1, _REPORT_EVERY_NS)
        return {kind: of_kind for kind, of_kind in spans.items() if _is_of_single_seconds(kind)}

    def _said_by(self, says: Callable[[CollectorReport], bool], reach_ns: int) -> Mapping[str, list[Span]]:
        """Around the reports that say something, by the kinds of their collectors."""
        by_kind: dict[str, list[Span]] = {}
        for row in self._all_reports:
            if says(row):
                for kind in str(row.kinds or row.name).split(","):
                    by_kind.setdefault(kind, []).append((row.timestamp - reach_ns, row.timestamp + reach_ns))
        return {kind: union(spans) for kind, spans in by_kind.items()}

    @cached_property
    def _all_reports(self) -> Sequence[CollectorReport]:
        start, end = self._window
        around = TimeRange(max(start - _REPORTS_NS, 0), end + _REPORTS_NS)
        said = CollectorReport.status, CollectorReport.kinds, CollectorReport.name, CollectorReport.sampled_every
        return stored_rows(self._scene.reader, CollectorReport, around, columns=said)

    def _missing_essentials(self, gaps: Sequence[Span]) -> list[str]:
        known = rest(gaps, self._window)
        said = []
        for subject, names in ESSENTIAL.items():
            recorded = self._recorded(names)
            alone = common(recorded.holes(self._window), known)
            if not recorded.stamps:
                said.append(f"nothing was recorded about {subject}: {how_to_get(names, self._scene)}")
            elif length(alone) > HOLE_S * NS_PER_S:
                first, last = alone[0][0], alone[-1][1]
                said.append(f"nothing was recorded about {subject} between {to_second(first)} and {to_second(last)}")
        return said

    def _hole(self, hole: Span) -> str:
        start, end = hole
        seconds = (end - start) / NS_PER_S
        if start != self._all.stamps[-1]:
            return f"nothing was recorded from {to_second(start)} to {to_second(end)} ({seconds:.0f} s)"
        future = ", and the window ends in the future" if end > time.time_ns() else ""
        return f"nothing is known after {to_second(start)}, the last row; that is {seconds:.0f} s of the window{future}"

    def _nothing(self) -> str:
        start, end = self._window
        tables = [kind.table for kind in kinds().values() if kind.interval_s is not None and kind.name != "collector"]
        ever = extent(self._scene.reader, filter(self._scene.reader.holds, tables))
        if start > time.time_ns():
            return "the window lies in the future"
        if ever is None:
            return "nothing was ever recorded here; `kernelsight start` records"
        if start > ever.end_ns:
            return f"nothing was recorded in the window; the last row is of {to_second(ever.end_ns)}"
        if end < ever.start_ns:
            return f"nothing was recorded in the window; the first row is of {to_second(ever.start_ns)}"
        return (
            f"nothing was recorded in the window; rows are from {to_second(ever.start_ns)} to {to_second(ever.end_ns)}"
        )


def _is_watched(alternatives: Iterable[Sequence[Span]], known: Sequence[Span]) -> bool:
    """Whether one of several kinds was there in most of the recorded time."""
    return length(union(*alternatives)) >= WATCHED_SHARE * length(known)


def _is_of_single_seconds(kind: str) -> bool:
    """Whether rows of a kind tell of the second before them alone: sums, and what occurs by itself."""
    declared = kinds().get(kind)
    return declared is not None and any(isinstance(column.semantics, Delta) for column in declared.columns)


def _seconds(rows: Sequence[Event]) -> list[int]:
    """The seconds that have rows. These are in order: from the first row of a second, it is a leap to the next."""
    seconds: list[int] = []
    at = 0
    while at < len(rows):
        second = moment(rows[at]) // NS_PER_S
        seconds.append(second)
        at = bisect_left(rows, (second + 1) * NS_PER_S, at + 1, key=moment)
    return seconds


def _pace_s(stamps: Sequence[int]) -> float:
    """How far apart samples usually are: the upper quartile, so that a few that came late do not make others holes."""
    gaps = sorted(b - a for a, b in pairwise(stamps))
    if len(gaps) < _LEAST_GAPS:
        return 1.0
    return min(max(gaps[3 * len(gaps) // 4] / NS_PER_S, 1.0), SLOWEST_S)


def coverage(window: Window) -> Coverage:
    """What is known of a window.

    Ask once, without :meth:`Window.once`: a window that holds its own coverage refers to itself, and its rows stay in
    memory until Python looks for cycles.
    """
    return Coverage(window)
