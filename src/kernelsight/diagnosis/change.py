"""What became different on the machine: the language in which a sort of change is declared.

One module a sort in :mod:`kernelsight.diagnosis.changes`, which declares it as ``SUBJECT``::

    SUBJECT = Subject(
        meaning="a setting of the kernel",
        collectors=("kernel_setting",),
        read=_changes,
        touches=_touches,
    )

A change is no cause. It is said with a finding where it touches what the finding is about, and shortly before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from kernelsight.diagnosis.model import Change, Evidence
from kernelsight.diagnosis.touching import Places, Touch, touched
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, name_of
from kernelsight.query.filters import Filter
from kernelsight.query.stored import moment, row_id, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

E = TypeVar("E", bound=Event)

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S
GAP_NS = 60 * NS_PER_S
"""Collectors report every ten seconds: one that has not reported for so long did not run."""


@dataclass
class Period:
    """A time of a store in which changes are looked for."""

    reader: Reader
    when: TimeRange
    own: frozenset[int] = frozenset()
    """Pids of our own processes."""
    _kept: dict[str, list[Any]] = field(default_factory=dict)

    def rows(self, kind: type[E], when: TimeRange | None = None, **how: Any) -> list[E]:
        """The rows of a kind in this period, or in another time; as :func:`stored_rows` gives them."""
        return stored_rows(self.reader, kind, when or self.when, **how)

    def history(self, kind: type[E]) -> list[E]:
        """All rows of a kind up to the end of the period: of kinds that have few."""
        name = kind_of(kind).name
        if name not in self._kept:
            self._kept[name] = self.rows(kind, TimeRange(0, self.when.end_ns))
        return self._kept[name]

    def last_report(self, collectors: Iterable[str], before_ns: int) -> CollectorReport | None:
        """What any of these collectors reported last before a moment."""
        return self._report(collectors, TimeRange(0, max(0, before_ns - 1)), descending=True)

    def first_report(self, collectors: Iterable[str]) -> CollectorReport | None:
        """The first report of any of these collectors that says that it runs."""
        return self._report(collectors, TimeRange(0, self.when.end_ns), Filter(CollectorReport.status, "=", "running"))

    def watched_since(self, collectors: Iterable[str]) -> int | None:
        """Since when one of these collectors has run without a gap, up to the end of the period (ns since the epoch).

        None: none of them ran at its end.
        """
        named = Filter(CollectorReport.name, "=", list(collectors))
        lately = TimeRange(max(0, self.when.start_ns - GAP_NS), self.when.end_ns)
        since_ns, before_ns = None, None
        for row in self.rows(CollectorReport, lately, where=[named]):
            if row.status != "running":
                since_ns = None
            elif since_ns is None or before_ns is None or row.timestamp - before_ns > GAP_NS:
                since_ns = row.timestamp
            before_ns = row.timestamp
        if since_ns is None or before_ns is None or self.when.end_ns - before_ns > GAP_NS:
            return None
        if since_ns - lately.start_ns > GAP_NS:
            return since_ns
        first = self.first_report(collectors)  # it ran at the beginning of the period: since when does not matter there
        return since_ns if first is None else first.timestamp

    def _report(
        self, collectors: Iterable[str], when: TimeRange, *where: Filter[CollectorReport], descending: bool = False
    ) -> CollectorReport | None:
        named = Filter(CollectorReport.name, "=", list(collectors))
        rows = self.rows(CollectorReport, when, where=[named, *where], limit=1, descending=descending)
        return rows[0] if rows else None

    @cached_property
    def same_hours(self) -> tuple[TimeRange, ...]:
        """The same hour of the days before: the period, and half an hour on both sides of it."""
        return tuple(
            TimeRange(start, max(start, self.when.end_ns + _AROUND_NS - day * DAY_NS))
            for day in range(1, MOST_DAYS + 1)
            if (start := self.when.start_ns - _AROUND_NS - day * DAY_NS) >= 0
        )


MOST_DAYS = 7
_AROUND_NS = 1800 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A sort of change."""

    meaning: str
    """What changes, such as "a setting of the kernel"."""
    collectors: Sequence[str]
    """Those whose rows show it; any of them is enough."""
    read: Callable[[Period], Iterable[Change]]
    """The changes of a period."""
    touches: Callable[[Change, Places], Touch | None] = touched
    """How a change touches what a finding is about; None: no way is known."""
    name: str = ""
    """That of its module."""


class Difference(NamedTuple, Generic[E]):
    """What was found different of one entity."""

    row: E
    before: E | None
    """Its row before; None: there was none."""
    after_ns: int | None
    """The last moment at which it was not so yet; None: nobody watched before."""


def differences(
    period: Period, kind: type[E], values: Sequence[Field[E, Any]], unchanged: Field[E, Any], collectors: Sequence[str]
) -> list[Difference[E]]:
    """What became different in a period, by a kind that has a row at the first look of a run and one for each change.

    What differs between the end of one run of the collector and the first look of the next changed between them.

    Args:
        period: the time.
        kind: of event.
        values: the columns that say how something is.
        unchanged: the column with the stamp of the last look that found no change; NULL at the first look.
        collectors: who writes the kind.
    """
    entity = kind_of(kind).entity
    names, unchanged_name = [name_of(value) for value in values], name_of(unchanged)
    last: dict[tuple[Any, ...], E] = {}
    found: list[Difference[E]] = []
    for row in sorted(period.history(kind), key=row_id):
        key = tuple(getattr(row, column) for column in entity)
        before, last[key] = last.get(key), row
        seen_ns = getattr(row, unchanged_name)
        if not period.when.start_ns <= row.timestamp <= period.when.end_ns or (seen_ns is None and before is None):
            continue
        if before is not None and all(getattr(row, name) == getattr(before, name) for name in names):
            continue
        if seen_ns is None:
            report = period.last_report(collectors, row.timestamp)
            seen_ns = report.timestamp if report is not None else moment(before or row)
        found.append(Difference(row, before, seen_ns if isinstance(seen_ns, int) else None))
    return found


def cited(row: Event) -> tuple[Evidence, ...]:
    """A row as evidence: that it is there."""
    return (
        Evidence(
            table=kind_of(type(row)).table,
            start_ns=row.timestamp,
            end_ns=row.timestamp,
            metric="timestamp",
            how="count",
            value=1.0,
            row_ids=(row_id(row),),
        ),
    )


def days_before(period: Period, stamps: Iterable[int]) -> int:
    """On how many of the days before something has a stamp at about the same hour."""
    stamps = list(stamps)
    return sum(any(hour.start_ns <= stamp <= hour.end_ns for stamp in stamps) for hour in period.same_hours)
