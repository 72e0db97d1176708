"""What a number was before: of the same series, over the time that is known before the rows that a claim cites."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import msgspec

from kernelsight.diagnosis.measure import measured
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.diagnosis.window import NS_PER_S, Window, moment
from kernelsight.events.fields import entity_of, field_named, getter, row_getter
from kernelsight.events.wire import tables
from kernelsight.query.stored import row_id

LEAST_S = 3.0
"""Seconds that must be known before, for a number of them to say anything."""


def with_before(window: Window, path: Iterable[Step], onset_ns: int) -> tuple[Step, ...]:
    """The steps of a path, with what each number was before it began, where there is a before."""
    return tuple(
        msgspec.structs.replace(
            step,
            evidence=tuple(
                msgspec.structs.replace(one, baseline=before(window, one, onset_ns)) for one in step.evidence
            ),
        )
        for step in path
    )


def before(window: Window, evidence: Evidence, onset_ns: int) -> float | None:
    """The same number of the same series before; what adds up with time, for as long a time.

    Args:
        window: where it is from.
        evidence: the number.
        onset_ns: when that began which it is evidence of; of very many rows, it cites the last ones only.

    Returns:
        None where nothing, or less than :data:`LEAST_S`, is known of that time.
    """
    kind = tables()[evidence.table]
    known = window.rows(kind.struct)
    begins = min(onset_ns, evidence.start_ns)
    known_s = float(begins - known[0].timestamp) / NS_PER_S if known else 0.0
    if known_s < LEAST_S:
        return None
    cited, first = set(evidence.row_ids), bisect_left(known, evidence.start_ns, key=moment)
    within = known[first : bisect_right(known, evidence.end_ns, lo=first, key=moment)]
    metric, entity = field_named(kind, evidence.metric), row_getter(*entity_of(kind))
    value_of = getter(metric)
    entities = {entity(row) for row in within if row_id(row) in cited}
    rows = sorted(
        (
            row
            for key in entities
            for row in window.series(kind.struct)[key]
            if row.timestamp < begins and value_of(row) is not None
        ),
        key=moment,
    )
    lasts_s = (evidence.end_ns - evidence.start_ns) / NS_PER_S
    if evidence.how in {"sum", "count"}:  # a row tells of the time up to it, and where there is none, there was nothing
        seconds = lasts_s + (kind.interval_s or 1.0)
        return measured(evidence.how, metric, rows) * seconds / known_s if rows else 0.0
    if evidence.how != "increase":
        return measured(evidence.how, metric, rows) if rows else None
    saw_s = (moment(rows[-1]) - moment(rows[0])) / NS_PER_S if rows else 0.0
    return measured("increase", metric, rows) * lasts_s / saw_s if saw_s > 0 else None
