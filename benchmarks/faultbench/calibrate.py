"""Whether a diagnosis is as sure as it may be, and what each check is good for, over all recorded cases.

python -m benchmarks.faultbench.calibrate [--json] [--jobs 1] [NAME ...]

Every case is asked about before its onset, in its midst and at its end, with and without what tracers
recorded. Each candidate that is not merely the effect of another one counts: it is right when it names
a fault of the case and its culprit. Prints how many of those given a confidence were right, by bins; the
Brier score (the mean square of confidence minus truth: 0 is perfect, 0.25 is a coin); and the sharpness
that would fit best, for :data:`kernelsight.diagnosis.ranking.SHARPNESS`. That is temperature scaling (Guo
et al., "On Calibration of Modern Neural Networks", ICML 2017), which leaves the order and what is a finding
as they are, with Platt's targets (N+1)/(N+2) and 1/(N+2) instead of 1 and 0: the cases are those that the
mechanisms were written upon, and of N answers that were all right not every further one will be.

An answer is right when its first finding is a fault of the case with its culprit, or when there is nothing
to find and nothing is found. Leave one scenario out: the sharpness is fitted on all other scenarios and
judged on the one that is left out, for each of them in turn. The weights of the checks are not fitted, so
leaving a scenario out changes no answer.

For each check of a mechanism: for how many candidates it held and failed, and how many answers would change
without it, of which right ones that become wrong (lost) and wrong ones that become right (won). A check without
which no answer changes is listed at the end: it may be removed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.faultbench import recording
from benchmarks.faultbench.removal import Removal, Told, removals, told, worths
from benchmarks.faultbench.run import LOOKS_BACK_S, NS, replayed
from benchmarks.faultbench.scenario import Truth

from kernelsight.diagnosis.model import Entity
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


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one case: all candidates of the answer, and whether the answer is right."""

    scenario: str
    tracers: bool
    answers: Sequence[Answer]
    told: Told
    removals: Sequence[Removal]
    right: Sequence[bool]
    """As it is; then without each check of :attr:`removals`."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faultbench.calibrate")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        cases = pool.map(questions_of, recording.cases(arguments.names))
        questions = [question for of_case in cases for question in of_case]
    answers = [answer for question in questions for answer in question.answers]
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
        "accuracy": {
            "with_tracers": accuracy(question for question in questions if question.tracers),
            "without_tracers": accuracy(question for question in questions if not question.tracers),
        },
        "left_out": left_out(questions),
        "checks": [asdict(one) for one in worths((asked.told, asked.removals, asked.right) for asked in questions)],
    }
    print(json.dumps(result, indent=1) if arguments.json else "\n".join(lines(result)))
    return 0


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The result, for people."""
    yield "confidence      answers   mean  right"
    for row in result["bins"]:
        yield f"{row['from']:4.2f} to {row['to']:4.2f}  {row['answers']:8}  {row['mean']:.3f}  {row['right']:.3f}"
    yield (
        f"Brier score {result['brier']}, of {result['answers']} answers; "
        f"sharpness {SHARPNESS}, best {result['best_sharpness']}"
    )
    left = result["left_out"]
    yield (
        f"each of {left['scenarios']} scenarios left out in turn: Brier score {left['brier']}, "
        f"sharpness {left['sharpness_least']} to {left['sharpness_most']}"
    )
    for name, share in result["accuracy"].items():
        yield f"right answers {name.replace('_', ' ')}: {share['right']} of {share['questions']}"
    yield ""
    yield f"{'check':56} {'held':>6} {'failed':>6} {'changed':>7} {'lost':>5} {'won':>4}"
    unneeded = []
    for check in result["checks"]:
        name = "/".join(check["check"])
        held, failed, changed, lost, won = (check[part] for part in ("held", "failed", "changed", "lost", "won"))
        yield f"{name:56} {held:6} {failed:6} {changed:7} {lost:5} {won:4}"
        if not changed:
            unneeded.append(name)
    yield ""
    yield f"without these, no answer changes: {', '.join(unneeded) or 'none'}"


def questions_of(case: Path) -> list[Question]:
    """The questions about one case, with their answers."""
    about = recording.about(case)
    truth = msgspec.convert(about["truth"], Truth)
    onset, offset = about["onset_ns"], about["offset_ns"]
    found = []
    for tracers in (True, False):
        with replayed(case, tracers=tracers) as database, opened(database) as reader:
            for moment in (onset - NS, (onset + offset) // 2, offset - NS):
                scene = Scene(reader, TimeRange(moment - LOOKS_BACK_S * NS, moment))
                there = truth if moment > onset else Truth(None)
                found.append(_asked(scene, about["scenario"], there, tracers=tracers))
    return found


def _asked(scene: Scene, scenario: str, truth: Truth, *, tracers: bool) -> Question:
    candidates = [one for several in finders().values() for find in several for one in find(scene)]
    weighed = weigh(candidates, scene)
    whole, without = told(candidates, scene), list(removals(candidates, scene))
    return Question(
        scenario,
        tracers,
        [
            Answer(
                scenario, f"{one.fault} by {one.culprit.name}", log_odds(one), is_right(one.fault, one.culprit, truth)
            )
            for one in (*weighed.causes, *weighed.unlikely)
        ],
        whole,
        without,
        [answers_it(findings, truth) for findings in (whole, *(removal.told for removal in without))],
    )


def answers_it(findings: Told, truth: Truth) -> bool:
    """Whether findings are the right answer: the first of them is right, or there are none and nothing to find."""
    if truth.fault is None:
        return not findings
    return bool(findings) and is_right(*findings[0], truth)


def accuracy(questions: Iterable[Question]) -> dict[str, int]:
    """How many questions have the right answer."""
    rights = [question.right[0] for question in questions]
    return {"questions": len(rights), "right": sum(rights)}


def left_out(questions: Sequence[Question]) -> dict[str, float]:
    """How good confidences are on scenarios on which the sharpness was not fitted."""
    scenarios = sorted({question.scenario for question in questions})
    fitted, squares = [], []
    for scenario in scenarios:
        others = [one for question in questions if question.scenario != scenario for one in question.answers]
        its_own = [one for question in questions if question.scenario == scenario for one in question.answers]
        fitted.append(best_sharpness(others) if others else SHARPNESS)
        squares += [(one.confidence(fitted[-1]) - one.right) ** 2 for one in its_own]
    return {
        "scenarios": len(scenarios),
        "brier": round(statistics.fmean(squares), 4),
        "sharpness_least": min(fitted),
        "sharpness_most": max(fitted),
    }


def is_right(said: str, culprit: Entity, truth: Truth) -> bool:
    """Whether a fault is one of the case, with its culprit."""
    entity = msgspec.to_builtins(culprit)
    return any(
        said in fault.right and any(one.is_named(entity) for one in fault.culprits) for fault in (truth, *truth.also)
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
