"""Near ties: two explanations of one suffering that are nearly as likely are one finding, with what else it may be.

Which of the two is first would depend on chance, from one run to the next. So their order is that of what they say:
a limit that somebody set, then a mechanism, then the want of CPU time that every mechanism leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.effects import belongs, same_program
from kernelsight.diagnosis.registry import fault_classes, traits
from kernelsight.diagnosis.window import Window

NEAR = 0.5
"""Nats of log-odds between two explanations that a single weak check may turn round."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a suffering comes from, and what else it may come from."""

    candidate: Candidate
    alternatives: Sequence[Candidate]


def explanations(causes: Sequence[Candidate], window: Window, log_odds: Callable[[Candidate], float]) -> list[Told]:
    """Causes, those that nearly tie as one; in the order of the likeliest of each.

    Args:
        causes: the likeliest first.
        window: where they come from.
        log_odds: how likely one is, in nats.
    """
    groups: list[list[Candidate]] = []
    for one in causes:
        first = next((group for group in groups if _ties(group[0], one, window, log_odds)), None)
        if first is None:
            groups.append([one])
        else:
            first.append(one)
    ordered = [sorted(group, key=_precedence) for group in groups]
    return [Told(group[0], group[1:]) for group in ordered]


def _ties(one: Candidate, other: Candidate, window: Window, log_odds: Callable[[Candidate], float]) -> bool:
    felt = fault_classes()[one.fault].felt_as
    if one.fault == other.fault or felt is None or felt != fault_classes()[other.fault].felt_as:
        return False
    return abs(log_odds(one) - log_odds(other)) <= NEAR and _is_same_suffering(one, other, window)


def _is_same_suffering(one: Candidate, other: Candidate, window: Window) -> bool:
    """Whether all who suffer from one suffer from the other, or both are of one program or group."""
    fewer, more = sorted(({*one.victims}, {*other.victims}), key=len)
    if fewer and fewer <= more:
        return True
    pairs = ((one.culprit, other.culprit), (other.culprit, one.culprit))
    return any(same_program(a, b, window) or belongs(a, b, window) for a, b in pairs)


def _precedence(one: Candidate) -> tuple[bool, bool, str, str]:
    its = traits(one.fault)
    return not its.is_limit, its.wants_cpu, one.fault, one.culprit.id
