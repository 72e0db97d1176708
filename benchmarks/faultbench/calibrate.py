"""Whether a diagnosis is as sure as it may be, and what each check is good for, over all recorded cases.

python -m benchmarks.faultbench.calibrate [--json] [--jobs 1] [--keep FOLDER] [--fit] [NAME ...]

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
leaving a scenario out changes no answer. ``--fit`` fits them, too, and compares what they say of the scenarios
that were left out with what the judged weights say (:mod:`benchmarks.faultbench.comparison`).

For each check of a mechanism: for how many candidates it held and failed, and how many answers would change
without it, of which right ones that become wrong (lost) and wrong ones that become right (won). A check without
which no answer changes is listed at the end: it may be removed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.faultbench import recording
from benchmarks.faultbench.answers import Answer, answers_it, best_sharpness, brier, is_right
from benchmarks.faultbench.comparison import compared
from benchmarks.faultbench.comparison import lines as lines_of_comparison
from benchmarks.faultbench.removal import Removal, Told, removals, told, worths
from benchmarks.faultbench.windows import AskedWindow, windows_of

from kernelsight.diagnosis.ranking import SHARPNESS, log_odds, weigh

BINS = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)


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
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the windows of the replays there, and use them"
    )
    parser.add_argument("--fit", action="store_true", help="fit the weights of the checks, and compare")
    arguments = parser.parse_args()
    cases = recording.cases(arguments.names)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        if arguments.fit:
            windows = pool.map(partial(windows_of, keep=arguments.keep), cases)
            comparison = compared([asked for of_case in windows for asked in of_case], pool)
            print(json.dumps(comparison, indent=1) if arguments.json else "\n".join(lines_of_comparison(comparison)))
            return 0
        questions = [
            asked for of_case in pool.map(partial(questions_of, keep=arguments.keep), cases) for asked in of_case
        ]
    answers = [answer for question in questions for answer in question.answers]
    wrong = sorted(
        (answer for answer in answers if answer.confidence() >= BINS[4] and not answer.right), key=Answer.confidence
    )
    for answer in wrong:
        print(f"{answer.confidence():.3f} {answer.case}: {answer.said}", file=sys.stderr)
    result = {
        "answers": len(answers),
        "right": sum(answer.right for answer in answers),
        "brier": round(brier(answers), 4),
        "sharpness": SHARPNESS,
        "best_sharpness": best_sharpness(answers),
        "bins": [row for low, high in pairwise(BINS) if (row := row_of(answers, low, high))],
        "accuracy": {
            "with_tracers": accuracy(question for question in questions if question.tracers),
            "without_tracers": accuracy(question for question in questions if not question.tracers),
        },
        "left_out": left_out(questions),
        "checks": [asdict(worth) for worth in worths((asked.told, asked.removals, asked.right) for asked in questions)],
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


def questions_of(case: Path, keep: Path | None = None) -> list[Question]:
    """The questions about one case, with their answers; see :func:`windows_of`."""
    return [_asked(asked) for asked in windows_of(case, keep)]


def _asked(asked: AskedWindow) -> Question:
    candidates, window, truth = asked.candidates, asked.window, asked.truth
    weighed = weigh(candidates, window)
    whole, without = told(candidates, window), list(removals(candidates, window))
    return Question(
        asked.scenario,
        asked.tracers,
        [
            Answer(
                asked.scenario,
                f"{candidate.fault} by {candidate.culprit.name}",
                log_odds(candidate),
                is_right(candidate.fault, candidate.culprit, truth),
            )
            for candidate in (*weighed.causes, *weighed.unlikely)
        ],
        whole,
        without,
        [answers_it(findings, truth) for findings in (whole, *(removal.told for removal in without))],
    )


def accuracy(questions: Iterable[Question]) -> dict[str, int]:
    """How many questions have the right answer."""
    rights = [question.right[0] for question in questions]
    return {"questions": len(rights), "right": sum(rights)}


def left_out(questions: Sequence[Question]) -> dict[str, float]:
    """How good confidences are on scenarios on which the sharpness was not fitted."""
    scenarios = sorted({question.scenario for question in questions})
    fitted, squares = [], []
    for scenario in scenarios:
        others = [answer for question in questions if question.scenario != scenario for answer in question.answers]
        its_own = [answer for question in questions if question.scenario == scenario for answer in question.answers]
        fitted.append(best_sharpness(others))
        squares += [(answer.confidence(fitted[-1]) - answer.right) ** 2 for answer in its_own]
    return {
        "scenarios": len(scenarios),
        "brier": round(statistics.fmean(squares), 4),
        "sharpness_least": min(fitted),
        "sharpness_most": max(fitted),
    }


def row_of(answers: Iterable[Answer], low: float, high: float) -> dict[str, float] | None:
    """How many of the answers within a bin of confidence were right; None where there are none."""
    within = [answer for answer in answers if low <= answer.confidence() < high or answer.confidence() == high == 1]
    if not within:
        return None
    return {
        "from": low,
        "to": high,
        "answers": len(within),
        "mean": round(statistics.fmean(answer.confidence() for answer in within), 3),
        "right": round(statistics.fmean(answer.right for answer in within), 3),
    }


if __name__ == "__main__":
    raise SystemExit(main())
