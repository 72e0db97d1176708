"""The weights of checks, fitted to candidates of which it is known whether they are right.

A logistic regression: the log-odds of a candidate are a sum of weights, as the diagnosis takes it. Where the data say
little a weight stays what it was judged to be: a normal distribution around the judged weight is its prior, so that a
fit pays for each nat by which it leaves it (ridge regression towards the judged weights). What supports never refutes:
no weight falls below 0. A weight of 0 says that an outcome tells nothing; it stays 0.

The problem is convex. It is solved by accelerated projected gradients (Beck and Teboulle, "A Fast Iterative
Shrinkage-Thresholding Algorithm", 2009, section 4) that begin anew where they overshoot (O'Donoghue and Candès,
"Adaptive Restart for Accelerated Gradient Schemes", 2015), with a step of its own for each weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.faultbench.answers import Answer, platt_targets

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.ranking import PRIOR, SHARPNESS
from kernelsight.diagnosis.registry import mechanisms

Weight = tuple[str, str, bool]
"""Mechanism, id of a check, and whether it counts when the check holds (supports) or when it fails (refutes)."""
Weights = Mapping[Weight, float]
"""In nats, none below 0."""
ACCURACY_NATS = 1e-6
MOST_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Example:
    """A candidate of which it is known whether it is right."""

    scenario: str
    said: str
    offset: float
    """Its log-odds before any check."""
    supporting: Sequence[Weight]
    refuting: Sequence[Weight]
    right: bool

    def answer(self, weights: Weights) -> Answer:
        """What it is with these weights."""
        odds = self.offset + sum(weights[key] for key in self.supporting)
        return Answer(self.scenario, self.said, odds - sum(weights[key] for key in self.refuting), self.right)


def judged() -> dict[Weight, float]:
    """The weights that the mechanisms declare."""
    return {
        (name, check.id, holds): check.supports if holds else check.refutes
        for name, mechanism in mechanisms().items()
        for check in mechanism.checks
        for holds in (True, False)
    }


def example(scenario: str, candidate: Candidate, *, right: bool) -> Example:
    """A candidate as a fit sees it."""
    keys = [(candidate.mechanism, outcome.check_id, outcome.holds) for outcome in candidate.checks]
    return Example(
        scenario,
        f"{candidate.fault} by {candidate.culprit.name}",
        PRIOR + candidate.prior,
        [key for key in keys if key[2]],
        [key for key in keys if not key[2]],
        right,
    )


def reweighed(candidates: Iterable[Candidate], weights: Weights) -> list[Candidate]:
    """Candidates whose checks count as these weights say."""
    return [
        replace(
            candidate,
            checks=[
                replace(
                    outcome,
                    supports=weights[candidate.mechanism, outcome.check_id, True],
                    refutes=weights[candidate.mechanism, outcome.check_id, False],
                )
                for outcome in candidate.checks
            ],
        )
        for candidate in candidates
    ]


def fitted(examples: Sequence[Example], weights: Weights, spread_nats: float) -> dict[Weight, float]:
    """The likeliest weights.

    Args:
        examples: what they are fitted to.
        weights: the judged ones; a weight that no example meets stays as it is.
        spread_nats: standard deviation of the prior around the judged weights: how far off they are thought to be.

    Raises:
        RuntimeError: the fit does not converge.
    """
    places = {key: place for place, key in enumerate(weights)}
    effects = np.zeros((len(examples), len(weights)))
    for row, candidate in enumerate(examples):
        effects[row, [places[key] for key in candidate.supporting]] = 1.0
        effects[row, [places[key] for key in candidate.refuting]] = -1.0
    before = np.array([*weights.values()])
    offsets = np.array([candidate.offset for candidate in examples])
    targets = platt_targets([candidate.right for candidate in examples])
    pull = 1 / spread_nats**2
    # An upper bound of the curvature along each weight: XᵀX is at most the diagonal of its absolute row sums.
    curvature = SHARPNESS**2 / 4 * (np.abs(effects).T @ np.abs(effects).sum(axis=1)) + pull

    def downhill(values: np.ndarray) -> np.ndarray:
        confidences = (1 + np.tanh(SHARPNESS * (offsets + effects @ values) / 2)) / 2
        slope = SHARPNESS * (effects.T @ (confidences - targets)) + pull * (values - before)
        return np.where(before > 0, np.maximum(values - slope / curvature, 0.0), 0.0)

    current = ahead = before
    momentum = 1.0
    for _ in range(MOST_STEPS):
        following = downhill(ahead)
        if np.abs(following - ahead).max() <= ACCURACY_NATS:
            return dict(zip(weights, following.tolist(), strict=True))
        if (ahead - following) @ (curvature * (following - current)) > 0:
            momentum = 1.0
        gained = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / gained * (following - current)
        current, momentum = following, gained
    raise RuntimeError(f"the weights do not converge within {MOST_STEPS} steps; try a smaller spread")
