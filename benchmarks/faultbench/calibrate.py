"""Whether a diagnosis is as sure as it may be: confidence against being right, over all recorded cases.

python -m benchmarks.faultbench.calibrate [--json]

Every case is asked about before its onset, in its midst and at its end, with and without what tracers
recorded. Each candidate that is not merely the effect of another one counts: it is right when it names
a fault of the case and its culprit. Prints how many of those given a confidence were right, by bins; the
Brier score (the mean square of confidence minus truth: 0 is perfect, 0.25 is a coin); and the sharpness
that would fit best, for :data:`kernelsight.diagnosis.ranking.SHARPNESS`. That is temperature scaling (Guo
et al., "On Calibration of Modern Neural Networks", ICML 2017), which leaves the order and what is a finding
as they are, with Platt's targets (N+1)/(N+2) and 1/(N+2) instead of 1 and 0: the cases are those that the
hypotheses were written upon, and of N answers that were all right not every further one will be.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
from benchmarks.faultbench import recording
from benchmarks.faultbench.run import LOOKS_BACK_S, NS, replayed
from benchmarks.faultbench.scenario import Truth

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.ranking import SHARPNESS, log_odds, weigh
from kernelsight.diagnosis.registry import finders
from kernelsight.diagnosis.scene import Scene
from kernelsight.query.source import opened
from kernelsight.query.times import TimeRange

BINS = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faultbench.calibrate")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    answers = [one for case in recording.cases() for one in of_case(case)]
    wrong = sorted((one for one in answers if one.confidence() >= BINS[4] and not one.right), key=Answer.confidence)
    for one in wrong:
        print(f"{one.confidence():.3f} {one.case}: {one.said}", file=sys.stderr)
    result = {
        "answers": len(answers),
        "right": sum(one.right for one in answers),
        "brier": round(brier(answers), 4),
        "sharpness": SHARPNESS,
        "best_sharpness": best_sharpness(answers),
        "bins": [row for low, high in pairwise(BINS) if (row := row_of(answers, low, high))],
    }
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print("confidence      answers   mean  right")
    for row in result["bins"]:  # type: ignore[attr-defined]
        print(f"{row['from']:4.2f} to {row['to']:4.2f}  {row['answers']:8}  {row['mean']:.3f}  {row['right']:.3f}")
    print(
        f"Brier score {result['brier']}, of {len(answers)} answers; "
        f"sharpness {SHARPNESS}, best {result['best_sharpness']}"
    )
    return 0


def of_case(case: Path) -> Iterator[Answer]:
    """The answers to all questions about one case."""
    about = recording.about(case)
    truth = msgspec.convert(about["truth"], Truth)
    onset, offset = about["onset_ns"], about["offset_ns"]
    for tracers in (True, False):
        with replayed(case, tracers=tracers) as database, opened(database) as reader:
            for moment in (onset - NS, (onset + offset) // 2, offset - NS):
                scene = Scene(reader, TimeRange(moment - LOOKS_BACK_S * NS, moment))
                weighed = weigh(
                    (one for several in finders().values() for test in several for one in test(scene)), scene
                )
                for one in (*weighed.causes, *weighed.unlikely):
                    right = moment > onset and is_right(one, truth)
                    yield Answer(about["scenario"], f"{one.fault} by {one.culprit.name}", log_odds(one), right)


def is_right(one: Candidate, truth: Truth) -> bool:
    """Whether a candidate is a fault of the case, with its culprit."""
    entity = msgspec.to_builtins(one.culprit)
    return any(
        one.fault in fault.right and any(culprit.is_named(entity) for culprit in fault.culprits)
        for fault in (truth, *truth.also)
    )


def row_of(answers: Iterable[Answer], low: float, high: float) -> dict[str, float] | None:
    """How many of the answers within a bin of confidence were right; None where there are none."""
    within = [one for one in answers if low <= one.confidence() < high or one.confidence() == high == 1]
    if not within:
        return None
    return {
        "from": low,
        "to": high,
        "answers": len(within),
        "mean": round(statistics.fmean(one.confidence() for one in within), 3),
        "right": round(statistics.fmean(one.right for one in within), 3),
    }


def brier(answers: Iterable[Answer]) -> float:
    """Mean square of confidence minus truth."""
    return statistics.fmean((one.confidence() - one.right) ** 2 for one in answers)


def best_sharpness(answers: Sequence[Answer]) -> float:
    """The sharpness with the greatest likelihood of Platt's targets."""
    right = sum(one.right for one in answers)
    yes, no = (right + 1) / (right + 2), 1 / (len(answers) - right + 2)

    def loss(sharpness: float) -> float:
        total = 0.0
        for one in answers:
            target, odds = yes if one.right else no, sharpness * one.log_odds
            # The logarithms of confidence and of its complement, without loss where one of them is tiny.
            total += target * math.log1p(math.exp(-odds)) + (1 - target) * math.log1p(math.exp(odds))
        return total

    return round(min(SHARPNESSES, key=loss), 2)


if __name__ == "__main__":
    raise SystemExit(main())
