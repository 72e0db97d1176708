"""Whether what a diagnosis cites is in the store and says what is claimed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kernelsight.diagnosis.measure import measured
from kernelsight.diagnosis.model import Diagnosis, Evidence, Finding
from kernelsight.errors import UsageError
from kernelsight.events.declare import Counter
from kernelsight.events.fields import field_named, getter
from kernelsight.query.source import Source, column_named, kind_named, opened
from kernelsight.query.stored import cited_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_TOLERANCE = 1e-6


def check(source: Source, diagnosis: Diagnosis) -> list[str]:
    """Everything that is wrong with the evidence of a diagnosis, a sentence each; none when all is as it says."""
    with opened(source) as reader:
        return [fault for finding in diagnosis.findings for fault in _of_finding(reader, finding)]


def grounded(source: Source, finding: Finding) -> bool:
    """Whether a finding has a path, and every step of it is shown by rows that exist and say so."""
    with opened(source) as reader:
        return not list(_of_finding(reader, finding))


def _of_finding(reader: Reader, finding: Finding) -> Iterator[str]:
    if not finding.path:
        yield f"{finding.fault}: no path from who suffers to {finding.culprit.name}"
    for step in finding.path:
        if not step.evidence:
            yield f"{finding.fault}: {step.claim!r} cites nothing"
        for evidence in step.evidence:
            wrong = wrong_with(reader, evidence)
            if wrong:
                yield f"{finding.fault}: {step.claim!r}: {wrong}"


def wrong_with(reader: Reader, evidence: Evidence) -> str:
    """What is wrong with one piece of evidence; empty when nothing is."""
    try:
        kind = kind_named(evidence.table)
        name = column_named(kind, evidence.metric).name
        when = TimeRange(evidence.start_ns, evidence.end_ns)
    except UsageError as error:
        return str(error)
    wanted = set(evidence.row_ids)
    metric = field_named(kind, name)
    found = cited_rows(reader, kind.struct, when, wanted)
    if not wanted or len(found) != len(wanted):
        return f"{len(found)} of {len(wanted)} cited rows of {evidence.table} are there"
    if all(value is None for value in map(getter(metric), found)):
        return f"no cited row of {evidence.table} has a {name}"
    if evidence.how == "increase" and not isinstance(kind.by_name[name].semantics, Counter):
        return f"{evidence.table}.{name} is no counter"
    value = measured(evidence.how, metric, found)
    if not math.isclose(value, evidence.value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        return f"{evidence.how} of {name} is {value:g}, not {evidence.value:g}"
    return ""
