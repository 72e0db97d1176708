"""How a number of a diagnosis went over its whole window: what the report draws beside each claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.model import Diagnosis, Evidence
from kernelsight.diagnosis.window import Window
from kernelsight.events.declare import Counter, Delta, Event
from kernelsight.events.fields import entity_of, field_named, getter, row_getter
from kernelsight.events.wire import tables
from kernelsight.query.source import Source, opened
from kernelsight.query.stored import row_id
from kernelsight.query.times import TimeRange


@dataclass(frozen=True, slots=True)
class EvidenceSeries:
    """One metric over the window, of the entities whose rows a claim cites, together."""

    table: str
    metric: str
    unit: str
    """Of the values; of a counter and of a sum over an interval, a second."""
    window: tuple[int, int]
    """ns since the epoch."""
    cited: tuple[int, int]
    """What the claim is about."""
    points: tuple[tuple[int, float], ...]
    """Time (ns since the epoch) and value, a second at most one."""

    def bins(self, count: int) -> list[float | None]:
        """The largest value in each of so many equal parts of the window; None where there is none."""
        start, end = self.window
        found: list[float | None] = [None] * count
        for at, value in self.points:
            place = min(int((at - start) * count / max(end - start, 1)), count - 1)
            found[place] = max(value, found[place] or value)
        return found


SeriesOfEvidence = dict[Evidence, EvidenceSeries]


def series_by_evidence(source: Source, diagnosis: Diagnosis) -> SeriesOfEvidence:
    """The course of every number that the findings of a diagnosis cite.

    Raises:
        StoreError: the store cannot be read.
    """
    bounds = diagnosis.window
    with opened(source) as reader:
        window = Window(reader, TimeRange(bounds.start_ns, bounds.end_ns))
        cited = {evidence for finding in diagnosis.findings for step in finding.path for evidence in step.evidence}
        return {evidence: _course(window, evidence) for evidence in cited}


def _course(window: Window, evidence: Evidence) -> EvidenceSeries:
    kind = tables()[evidence.table]
    column = kind.by_name[evidence.metric]
    ids = set(evidence.row_ids)
    metric, entity = field_named(kind, column.name), row_getter(*entity_of(kind))
    entities = {entity(row) for row in window.rows(kind.struct) if row_id(row) in ids}
    together = isinstance(column.semantics, Counter | Delta)
    if isinstance(column.semantics, Counter):
        deltas = [delta for entity in entities for delta in window.deltas(kind.struct).get(entity, ())]
        values = [(delta.after, delta.of(metric) / delta.seconds) for delta in deltas]
    else:
        values = [
            (row, float(level))
            for row in window.rows(kind.struct)
            if (level := getter(metric)(row)) is not None and entity(row) in entities
        ]
    unit = f"{column.unit}/s" if together else column.unit
    whole = (window.when.start_ns, window.when.end_ns)
    cited = (evidence.start_ns, evidence.end_ns)
    return EvidenceSeries(kind.table, column.name, unit, whole, cited, _by_second(window, values, together=together))


def _by_second(
    window: Window, values: Sequence[tuple[Event, float]], *, together: bool
) -> tuple[tuple[int, float], ...]:
    """One value a second: the sum of what flows, the largest of levels."""
    found: dict[int, float] = {}
    for row, value in values:
        second = window.second(row)
        known = found.get(second)
        found[second] = value if known is None else known + value if together else max(known, value)
    return tuple((window.at(second), value) for second, value in sorted(found.items()))
