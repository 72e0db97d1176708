"""Near ties: two explanations of one suffering that are nearly as likely are one finding, with what else it may be.

Which of the two is first would depend on chance, from one run to the next. So their order is that of what they say:
a limit that somebody set, then a mechanism, then the want of CPU time that every mechanism leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.effects import USES_UP, WANTS_CPU, belongs, same_program
from kernelsight.diagnosis.model import Fault
from kernelsight.diagnosis.scene import Scene

NEAR = 0.5
"""Nats of log-odds between two explanations that a single weak check may turn round."""
_LIMITS: frozenset[Fault] = frozenset({"cpu_throttling"})
OF_ONE_KIND: tuple[frozenset[Fault], ...] = (
    frozenset({
        "cpu_saturation", "runqueue_contention", "cpu_throttling", "lock_contention", "context_switch_storm",
        "fork_storm", "softirq_load",
    }),
    frozenset({"disk_saturation", "disk_latency", "fsync_stall", "blocked_io", "memory_pressure", "page_fault_storm"}),
    frozenset({"packet_loss", "bandwidth_saturation", "listen_overflow"}),
)  # fmt: skip
"""Faults that can be taken for each other: those who suffer from them wait for the same, and are slow alike."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a suffering comes from, and what else it may come from."""

    candidate: Candidate
    alternatives: Sequence[Candidate]


def explanations(
    causes: Sequence[Candidate], scene: Scene, log_odds: Callable[[Candidate], float]
) -> list[Explanation]:
    """Causes, those that nearly tie as one; in the order of the likeliest of each.

    Args:
        causes: the likeliest first.
        scene: where they come from.
        log_odds: how likely one is, in nats.
    """
    groups: list[list[Candidate]] = []
    for one in causes:
        first = next((group for group in groups if _ties(group[0], one, scene, log_odds)), None)
        if first is None:
            groups.append([one])
        else:
            first.append(one)
    ordered = [sorted(group, key=_precedence) for group in groups]
    return [Explanation(group[0], group[1:]) for group in ordered]


def _ties(one: Candidate, other: Candidate, scene: Scene, log_odds: Callable[[Candidate], float]) -> bool:
    if one.fault == other.fault or USES_UP & {one.fault, other.fault}:
        return False
    if not any({one.fault, other.fault} <= kind for kind in OF_ONE_KIND):
        return False
    return abs(log_odds(one) - log_odds(other)) <= NEAR and _is_same_suffering(one, other, scene)


def _is_same_suffering(one: Candidate, other: Candidate, scene: Scene) -> bool:
    """Whether all who suffer from one suffer from the other, or both are of one program or group."""
    fewer, more = sorted(({*one.victims}, {*other.victims}), key=len)
    if fewer and fewer <= more:
        return True
    pairs = ((one.culprit, other.culprit), (other.culprit, one.culprit))
    return any(same_program(a, b, scene) or belongs(a, b, scene) for a, b in pairs)


def _precedence(one: Candidate) -> tuple[bool, bool, str, str]:
    return one.fault not in _LIMITS, one.fault in WANTS_CPU, one.fault, one.culprit.id
