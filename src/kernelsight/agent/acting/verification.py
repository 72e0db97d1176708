"""Whether an action helped, by the telemetry of the time after it.

What is compared is what the finding began with: the first number of its path, which is what the sufferer suffers,
as a rate. A finding that is not there any more is a symptom that is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from kernelsight.agent.acting.audit import target_of
from kernelsight.agent.acting.groups import OWN_PREFIX
from kernelsight.agent.acting.policy import NS_PER_S, Verification
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Entity, Evidence, Finding
from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep, DiagnosisRow, Verdict
from kernelsight.events.wire import kinds
from kernelsight.quantities import number
from kernelsight.query.filters import Filter
from kernelsight.query.source import opened
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import EVERYTHING

_MUCH = 1.25
"""A symptom differs when it is a quarter more or less: below that is how load varies from one quarter minute to the
next."""
_PATIENCE_S = 60.0
"""So long after it is due, a verification waits for telemetry."""
_SUMS = frozenset({"sum", "increase", "count"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a symptom."""

    verdict: Verdict
    why: str
    symptom: str | None = None
    before: float | None = None
    after: float | None = None


def due_ns(done: ActionStep, how: Verification) -> int:
    """When the effect of an action can be judged."""
    return done.timestamp + int((how.settle_s + how.observe_s) * NS_PER_S)


def verify(db_path: str, done: ActionStep, how: Verification, now_ns: int) -> Outcome | None:
    """What became of the symptom that an action was about; None: the telemetry is not there yet.

    Raises:
        StoreError: the store cannot be read.
    """
    before = finding_of(db_path, done)
    if before is None:
        return Outcome("unknown", "it answers no finding whose symptom could be looked for")
    start = done.timestamp + int(how.settle_s * NS_PER_S)
    if told_until(db_path) < start + how.observe_s / 2 * NS_PER_S:
        late = now_ns - due_ns(done, how) > _PATIENCE_S * NS_PER_S
        return Outcome("unknown", "there is no telemetry of the time after it") if late else None
    findings = diagnose(db_path, start, now_ns).findings
    others = [finding for finding in findings if finding.fault == before.fault or not is_our_doing(finding, done)]
    return compare(before, others, done)


def compare(before: Finding, after: Iterable[Finding], done: ActionStep) -> Outcome:
    """A finding before an action, and the findings after it."""
    after = tuple(after)
    symptom, was = severity(before)
    concerned = {target_of(done), before.culprit, *before.victims}
    new = [
        finding for finding in after if finding.fault != before.fault and _concerns(finding, concerned, done.timestamp)
    ]
    same = [finding for finding in after if finding.fault == before.fault]
    if new:
        names = ", ".join(sorted({finding.fault for finding in new}))
        return Outcome("worse", f"since then there is {names}, about the same ones", symptom, was, None)
    if not same:
        return Outcome("better", f"{before.fault} is not found any more", symptom, was, 0.0)
    now = (
        max(severity(finding)[1] for finding in same if severity(finding)[0] == symptom)
        if _alike(same, symptom)
        else None
    )
    if now is None or was <= 0:
        return Outcome("same", f"{before.fault} is still found", symptom, was, now)
    text = f"{before.fault} is still found; {symptom} went from {number(was)} to {number(now)}"
    if now * _MUCH <= was:
        return Outcome("better", text, symptom, was, now)
    return Outcome("worse" if now >= was * _MUCH else "same", text, symptom, was, now)


def severity(finding: Finding) -> tuple[str, float]:
    """What the sufferer suffers: its name, and how much (a second, where it is a sum)."""
    evidence = next(evidence for step in finding.path for evidence in step.evidence)
    text = f"{evidence.how} of {evidence.table}.{evidence.metric}"
    if evidence.how not in _SUMS:
        return text, evidence.value
    return f"{text} a second", evidence.value / _seconds(evidence)


def _seconds(evidence: Evidence) -> float:
    """The time that rows stand for: one more interval than lies between the first and the last, at least one."""
    return (evidence.end_ns - evidence.start_ns) / NS_PER_S + 1.0


def _alike(findings: Iterable[Finding], symptom: str) -> bool:
    return any(severity(finding)[0] == symptom for finding in findings)


def _concerns(finding: Finding, whom: set[Entity], since_ns: int) -> bool:
    """Whether a finding began after something and is about one of these."""
    return finding.onset_ns >= since_ns and bool({finding.culprit, *finding.victims} & whom)


def is_our_doing(finding: Finding, done: ActionStep) -> bool:
    """Whether a finding is only what an action does: a quota that we gave holds back whom it should."""
    culprit = finding.culprit
    if culprit.kind != "cgroup":
        return False
    return culprit.id.rpartition("/")[2].startswith(OWN_PREFIX) or culprit == target_of(done)


def finding_of(db_path: str, step: ActionStep) -> Finding | None:
    """The finding that an action answers, as it was recorded."""
    if not step.diagnosis_id:
        return None
    where = [
        Filter(DiagnosisRow.diagnosis_id, "=", step.diagnosis_id),
        Filter(DiagnosisRow.fault, "=", step.fault),
        Filter(DiagnosisRow.finding, "!=", None),
    ]
    with opened(db_path) as reader:
        first = stored_rows(reader, DiagnosisRow, EVERYTHING, where=where, order_by=DiagnosisRow.rank, limit=1)
    text = first[0].finding if first else None
    return msgspec.json.decode(str(text), type=Finding) if text else None


def told_until(db_path: str) -> int:
    """Until when there is telemetry (ns since the epoch); 0 without any."""
    latest = 0
    try:
        with opened(db_path) as reader:
            for kind in kinds().values():
                if kind.interval_s == 1.0 and (bounds := reader.bounds(kind.table)):
                    latest = max(latest, bounds[1])
    except StoreError:
        return 0
    return latest
