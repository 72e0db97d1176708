"""From candidates to findings: how likely each is, and which are only another one's effect."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kernelsight.diagnosis.effects import is_again, split
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
    """The findings, most certain first, and what was ruled out.

    No culprit has one fault twice, and what is only the effect of a finding is none.
    """
    ordered = sorted(candidates, key=lambda one: (-confidence(one), -one.suffering_s, one.fault, one.culprit.id))
    likely: list[Candidate] = []
    unlikely: list[Candidate] = []
    for one in ordered:
        if any(is_again(one, other, scene) for other in likely):
            continue
        (likely if confidence(one) >= LEAST and one.path else unlikely).append(one)
    causes, effects = split(likely, scene)
    findings = tuple(_finding(one, scene) for one in causes)
    return findings, (
        *(RuledOut(one.fault, one.culprit, confidence(one), (), _named(cause)) for one, cause in effects),
        *(RuledOut(one.fault, one.culprit, confidence(one), _against(one)) for one in unlikely),
    )


def _against(one: Candidate) -> tuple[str, ...]:
    return tuple(check.says for check in one.checks if not check.holds)


def _named(cause: Candidate) -> str:
    return f"{cause.fault} by {cause.culprit.name}"


def _finding(one: Candidate, scene: Scene) -> Finding:
    return Finding(
        fault=one.fault,
        culprit=one.culprit,
        victims=one.victims,
        onset_ns=one.onset_ns,
        confidence=confidence(one),
        path=tuple(one.path),
        refuted_by=one.refuted_by,
        actions=one.actions,
        began_before=one.onset_ns < scene.when.start_ns + 2 * NS_PER_S,
        outlook=one.outlook,
    )
