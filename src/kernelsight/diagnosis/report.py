"""A diagnosis as lines for a person: what, who, since when, how sure, what shows it, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.model import Diagnosis, Entity, Evidence, Finding
from kernelsight.query.times import format_time

_MOST_RULED_OUT = 5


def report(diagnosis: Diagnosis) -> Iterator[str]:
    """The lines; times are in UTC, as the query API has them."""
    window = diagnosis.window
    yield f"From {format_time(window.start_ns)} to {format_time(window.end_ns)}, UTC"
    if diagnosis.healthy:
        yield ""
        yield "Healthy: nobody suffers, nothing fails, nothing is about to run out."
    for finding in diagnosis.findings:
        yield ""
        yield from _finding(finding)
    ruled_out = [one for one in diagnosis.ruled_out if one.against][:_MOST_RULED_OUT]
    if ruled_out:
        yield ""
        yield "Considered, and less likely:"
        for one in ruled_out:
            yield f"  {_plain(one.fault)} by {named(one.culprit)} ({one.confidence:.0%}); against it: not so that " + (
                "; not so that ".join(one.against)
            )
    if diagnosis.unseen:
        yield ""
        yield "Could not be looked at:"
        yield from (f"  {sentence}" for sentence in diagnosis.unseen)


def named(entity: Entity) -> str:
    """What people call it, with what tells it from others."""
    return entity.name if entity.id == entity.name else f"{entity.name} ({entity.id})"


def _finding(finding: Finding) -> Iterator[str]:
    since = "since before that" if finding.began_before else f"since {format_time(finding.onset_ns)}"
    who = f"{finding.culprit.kind} {named(finding.culprit)}"
    yield f"{_plain(finding.fault).upper()} by {who}, {since} ({finding.confidence:.0%} sure)"
    if finding.victims:
        yield f"  suffering: {', '.join(named(victim) for victim in finding.victims)}"
    for number, step in enumerate(finding.path, 1):
        yield f"  {number}. {step.claim}"
        yield f"     {'; '.join(_cited(evidence) for evidence in step.evidence)}"
    if finding.refuted_by:
        yield f"  wrong if: {finding.refuted_by}"
    if finding.outlook:
        yield f"  if nothing is done: {finding.outlook}"
    for proposal in finding.actions:
        yield f"  to do: {proposal.text}"


def _cited(evidence: Evidence) -> str:
    before = "" if evidence.baseline is None else f", before {evidence.baseline:.6g}"
    value = f"{evidence.how} of {evidence.metric} {evidence.value:.6g}"
    return f"{evidence.table}: {value} in {len(evidence.row_ids)} rows{before}"


def _plain(fault: str) -> str:
    return fault.replace("_", " ")
