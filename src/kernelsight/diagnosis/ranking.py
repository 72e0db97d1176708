"""From candidates to findings: how likely each is, and which are only another one's effect."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernelsight.diagnosis.hypothesis import Candidate
from kernelsight.diagnosis.model import Finding, RuledOut
from kernelsight.diagnosis.scene import NS_PER_S, Scene

PRIOR = -1.0
"""Log-odds of a candidate of which nothing is known but that its symptom is there."""
LEAST = 0.5
"""A candidate that is less likely than not is no finding."""


def confidence(candidate: Candidate) -> float:
    """How likely a candidate is by its checks, as if they were independent."""
    odds = PRIOR + sum(check.odds for check in candidate.checks)
    return round(1 / (1 + math.exp(-odds)), 3)


def rank(candidates: Iterable[Candidate], scene: Scene) -> tuple[tuple[Finding, ...], tuple[RuledOut, ...]]:
    """The findings, most certain first, and what was ruled out; no culprit has one fault twice."""
    ordered = sorted(candidates, key=lambda one: (-confidence(one), -one.suffering_s, one.fault, one.culprit.id))
    findings: list[Finding] = []
    ruled_out: list[RuledOut] = []
    for one in ordered:
        sure = confidence(one)
        if any((one.fault, one.culprit) == (found.fault, found.culprit) for found in findings):
            continue
        if sure >= LEAST and one.path:
            findings.append(_finding(one, sure, scene))
        else:
            against = tuple(check.says for check in one.checks if not check.holds)
            ruled_out.append(RuledOut(one.fault, one.culprit, sure, against))
    return tuple(findings), tuple(ruled_out)


def _finding(one: Candidate, sure: float, scene: Scene) -> Finding:
    return Finding(
        fault=one.fault,
        culprit=one.culprit,
        victims=one.victims,
        onset_ns=one.onset_ns,
        confidence=sure,
        path=tuple(one.path),
        refuted_by=one.refuted_by,
        actions=one.actions,
        began_before=one.onset_ns < scene.when.start_ns + 2 * NS_PER_S,
        outlook=one.outlook,
    )
