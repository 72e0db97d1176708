"""From candidates to findings: how likely each is, and which are only another one's effect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.alternatives import Told, explanations
from kernelsight.diagnosis.before import with_before
from kernelsight.diagnosis.blocking_chain import from_afar
from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.effects import is_again, split
from kernelsight.diagnosis.model import Alternative, Finding, RuledOut
from kernelsight.diagnosis.onset import was_there, with_onsets
from kernelsight.diagnosis.placing import in_its_group
from kernelsight.diagnosis.registry import traits
from kernelsight.diagnosis.window import Window

PRIOR = -1.0
"""Log-odds of a candidate of which nothing is known but that its symptom is there."""
LEAST = 0.5
"""A candidate that is less likely than not is no finding."""


SHARPNESS = 0.6
"""What log-odds are multiplied by: checks are not as independent as their sum takes them to be.

Measured by `benchmarks.faultbench.calibrate`; it changes neither the order nor what is a finding.
"""


@dataclass(frozen=True, slots=True)
class Weighed:
    """All candidates of a window, each once, the likeliest first."""

    causes: Sequence[Candidate]
    effects: Sequence[tuple[Candidate, Candidate]]
    """Each with its cause."""
    unlikely: Sequence[Candidate]


def log_odds(candidate: Candidate) -> float:
    """For a candidate, by its prior and its checks as if they were independent; 0: as likely as not."""
    return PRIOR + candidate.prior + sum(check.odds for check in candidate.checks)


def confidence(candidate: Candidate) -> float:
    """How likely a candidate is."""
    return round(1 / (1 + math.exp(-SHARPNESS * log_odds(candidate))), 3)


def is_likely(candidate: Candidate) -> bool:
    """Whether it would be a finding, if it is no effect of another one."""
    return confidence(candidate) >= LEAST


def weigh(candidates: Iterable[Candidate], window: Window) -> Weighed:
    """Tell causes from effects and from what is unlikely; no culprit has one fault twice.

    A fault that shows itself in two ways began with the first of them.
    """
    # Of two that are as likely, the one that says what the CPU time is needed for comes first.
    ordered = sorted(
        candidates,
        key=lambda one: (
            -round(log_odds(one), 1),
            traits(one.fault).wants_cpu,
            -one.suffering_s,
            one.fault,
            one.culprit.id,
        ),
    )
    likely: list[Candidate] = []
    unlikely: list[Candidate] = []
    for one in ordered:
        known = next((other for other in likely if is_again(one, other, window)), None)
        if known is not None:
            if is_likely(one) and one.path and one.culprit == known.culprit:
                known.onset_ns = min(known.onset_ns, one.onset_ns)
            continue
        (likely if is_likely(one) and one.path else unlikely).append(one)
    causes, effects = split(likely, window)
    return Weighed(causes, effects, unlikely)


def rank(candidates: Iterable[Candidate], window: Window) -> tuple[tuple[Finding, ...], tuple[RuledOut, ...]]:
    """The findings, most certain first, and what was ruled out: effects of findings, and what is unlikely."""
    weighed = weigh(candidates, window)
    told = explanations(weighed.causes, window, log_odds)
    findings = with_onsets((_finding(one, window) for one in told), window, likely=is_likely)
    return findings, (
        *(RuledOut(one.fault, one.culprit, confidence(one), (), _named(cause)) for one, cause in weighed.effects),
        *(RuledOut(one.fault, one.culprit, confidence(one), _against(one)) for one in weighed.unlikely),
    )


def _against(one: Candidate) -> tuple[str, ...]:
    return tuple(check.says for check in one.checks if not check.holds and check.odds)


def _named(cause: Candidate) -> str:
    return f"{cause.fault} by {cause.culprit.name}"


def _finding(told: Told, window: Window) -> Finding:
    one = told.candidate
    return Finding(
        fault=one.fault,
        culprit=one.culprit,
        victims=one.victims,
        onset_ns=one.onset_ns,
        confidence=confidence(one),
        path=with_before(window, (*from_afar(window, one), *one.path), one.onset_ns),
        refuted_by=one.refuted_by,
        actions=tuple(in_its_group(window, proposal) for proposal in one.actions),
        began_before=was_there(one.onset_ns, window),
        outlook=one.outlook,
        alternatives=tuple(Alternative(other.fault, other.culprit, confidence(other)) for other in told.alternatives),
        does=one.does,
        detail=one.detail,
        harm=one.harm,
        fellows=one.fellows,
    )
