"""Answers that are held against the truth of a case: which of them are right, and how sure they may be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from benchmarks.faultbench.removal import Told
from benchmarks.faultbench.truth import Truth

from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.ranking import SHARPNESS

SHARPNESSES = [0.05 * step for step in range(1, 101)]


@dataclass(frozen=True, slots=True)
class Answer:
    """One candidate of one answer."""

    case: str
    said: str
    log_odds: float
    right: bool

    def confidence(self, sharpness: float = SHARPNESS) -> float:
        """How sure it is."""
        return 1 / (1 + math.exp(-sharpness * self.log_odds))


def answers_it(findings: Told, truth: Truth) -> bool:
    """Whether findings are the right answer: the first of them is right, or there are none and nothing to find."""
    if truth.fault is None:
        return not findings
    return bool(findings) and is_right(*findings[0], truth)


def is_right(said: str, culprit: Entity, truth: Truth) -> bool:
    """Whether a fault is one of the case, with its culprit."""
    entity = msgspec.to_builtins(culprit)
    return any(
        said in fault.right and any(culprit_meant.is_named(entity) for culprit_meant in fault.culprits)
        for fault in (truth, *truth.also)
    )


def brier(answers: Iterable[Answer]) -> float:
    """Mean square of confidence minus truth."""
    return statistics.fmean((answer.confidence() - answer.right) ** 2 for answer in answers)


def best_sharpness(answers: Sequence[Answer]) -> float:
    """The sharpness with the greatest likelihood of Platt's targets; without answers, the one in use."""
    if not answers:
        return SHARPNESS
    odds = np.array([answer.log_odds for answer in answers])
    targets = platt_targets([answer.right for answer in answers])
    # The logarithms of confidence and of its complement, without loss where one of them is tiny.
    losses = [
        (targets * np.logaddexp(0, -sharpness * odds) + (1 - targets) * np.logaddexp(0, sharpness * odds)).sum()
        for sharpness in SHARPNESSES
    ]
    return round(SHARPNESSES[int(np.argmin(losses))], 2)


def platt_targets(right: Sequence[bool]) -> np.ndarray:
    """What a confidence should be for each answer: (N+1)/(N+2) of N right ones, and 1/(N+2) of N wrong ones."""
    is_right = np.array(right, dtype=bool)
    rights, wrongs = int(is_right.sum()), int((~is_right).sum())
    return np.where(is_right, (rights + 1) / (rights + 2), 1 / (wrongs + 2))
