"""Fitted weights against judged ones, on scenarios that they were not fitted to."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks.faultbench.answers import answers_it, best_sharpness, is_right
from benchmarks.faultbench.removal import told
from benchmarks.faultbench.weights import Example, Weight, Weights, example, fitted, judged, reweighed
from benchmarks.faultbench.windows import AskedWindow

from kernelsight.diagnosis.ranking import weigh

SPREADS_NATS = (0.25, 0.5, 1.0, 2.0)
"""How far off judged weights are thought to be: from hardly at all to more than most of them are."""
FEW_SCENARIOS = 3
_MOST_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Known:
    """How much the recorded cases tell of weights."""

    met: int
    """Weights that count for some candidate."""
    in_few: int
    """Of these, those that count in :data:`FEW_SCENARIOS` at most."""
    one_sided: int
    """Of these, those that count only for candidates that are right, or only for such that are wrong."""


@dataclass(frozen=True, slots=True)
class Merit:
    """How good the answers are with some weights, each scenario with those that were fitted without it."""

    weights: str
    brier: float
    """With the sharpness as it is."""
    brier_sharpened: float
    """With the sharpness that fits the other scenarios best."""
    right_with_tracers: int
    right_without_tracers: int
    wrong: int
    """Answers whose first finding is not right."""
    on_healthy: int
    """Of these, where nothing is wrong: controls, and the time before an onset."""
    wrong_anywhere: int
    """Findings that are not right, first or further ones."""
    lost: Sequence[str]
    """Windows with a right answer by the judged weights, and a wrong one by these."""
    won: Sequence[str]


def compared(windows: Sequence[AskedWindow], executor: Executor) -> dict[str, Any]:
    """Judged weights and fitted ones.

    Args:
        windows: all that is known.
        executor: where fits run side by side.
    """
    examples = [candidate for asked in windows for candidate in examples_of(asked)]
    weights = judged()
    scenarios = sorted({asked.scenario for asked in windows})
    as_judged = [answers_it(told(asked.candidates, asked.window), asked.truth) for asked in windows]
    rows = [_judge("judged", windows, examples, as_judged, lambda _: weights)]
    for spread in SPREADS_NATS:
        fits = executor.map(partial(_without, examples, weights, spread), scenarios)
        by_scenario = dict(zip(scenarios, fits, strict=True))
        rows.append(_judge(f"fitted, {spread:g} nats", windows, examples, as_judged, by_scenario.__getitem__))
    likeliest = min(rows[1:], key=lambda row: row.brier)
    spread = SPREADS_NATS[rows.index(likeliest) - 1]
    final = fitted(examples, weights, spread)
    moved = sorted(weights, key=lambda key: (-abs(final[key] - weights[key]), key))
    return {
        "scenarios": len(scenarios),
        "examples": len(examples),
        "windows": len(windows),
        "windows_with_tracers": sum(asked.tracers for asked in windows),
        "weights": sum(weight > 0 for weight in weights.values()),
        **asdict(_known(examples, weights)),
        "rows": [asdict(row) for row in rows],
        "spread_nats": spread,
        "moved": [
            {"check": f"{key[0]}/{key[1]}", "holds": key[2], "judged": weights[key], "fitted": round(final[key], 2)}
            for key in moved[:_MOST_SHOWN]
        ],
    }


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The comparison, for people."""
    yield (
        f"{result['weights']} weights; {result['met']} count for some of {result['examples']} candidates, "
        f"{result['in_few']} of these in {FEW_SCENARIOS} scenarios at most, and {result['one_sided']} "
        "only for right ones or only for wrong ones"
    )
    yield f"{result['windows']} windows; each of {result['scenarios']} scenarios left out in turn:"
    with_tracers = result["windows_with_tracers"]
    yield ""
    yield "                     Brier score          right answers       wrong findings     answers"
    yield "weights           as it is  sharpened   tracers  without  first healthy all   lost   won"
    for row in result["rows"]:
        right = f"{row['right_with_tracers']}/{with_tracers}"
        without = f"{row['right_without_tracers']}/{result['windows'] - with_tracers}"
        lost, won = len(row["lost"]), len(row["won"])
        yield (
            f"{row['weights']:17} {row['brier']:8.4f}   {row['brier_sharpened']:8.4f}  {right:>8} {without:>8}"
            f"  {row['wrong']:5} {row['on_healthy']:7} {row['wrong_anywhere']:3} {lost:6} {won:5}"
        )
    for change in ("lost", "won"):
        changed = {row["weights"]: row[change] for row in result["rows"] if row[change]}
        for weights, windows in changed.items():
            yield f"{change} by {weights}: {', '.join(windows)}"
    yield ""
    yield f"moved most when fitted to all scenarios, {result['spread_nats']:g} nats:   judged  fitted"
    for moved in result["moved"]:
        outcome = "supports" if moved["holds"] else "refutes"
        yield f"{moved['check'] + ' ' + outcome:58} {moved['judged']:6.2f}  {moved['fitted']:6.2f}"


def examples_of(asked: AskedWindow) -> Iterator[Example]:
    """The candidates of a window that are not merely effects of others, by the judged weights."""
    weighed = weigh(asked.candidates, asked.window)
    for candidate in (*weighed.causes, *weighed.unlikely):
        right = is_right(candidate.fault, candidate.culprit, asked.truth)
        yield example(asked.scenario, candidate, right=right)


def _known(examples: Sequence[Example], weights: Weights) -> Known:
    scenarios: dict[Weight, set[str]] = {}
    rights: dict[Weight, set[bool]] = {}
    for candidate in examples:
        for key in (*candidate.supporting, *candidate.refuting):
            if weights[key]:
                scenarios.setdefault(key, set()).add(candidate.scenario)
                rights.setdefault(key, set()).add(candidate.right)
    return Known(
        len(scenarios),
        sum(len(names) <= FEW_SCENARIOS for names in scenarios.values()),
        sum(len(sides) == 1 for sides in rights.values()),
    )


def _without(examples: Sequence[Example], weights: Weights, spread: float, scenario: str) -> dict[Weight, float]:
    """The weights that are fitted to all scenarios but one."""
    return fitted([candidate for candidate in examples if candidate.scenario != scenario], weights, spread)


def _judge(
    name: str,
    windows: Sequence[AskedWindow],
    examples: Sequence[Example],
    as_judged: Sequence[bool],
    weights_for: Callable[[str], Weights],
) -> Merit:
    squares, squares_sharpened = [], []
    for scenario in sorted({candidate.scenario for candidate in examples}):
        weights = weights_for(scenario)
        answers = [candidate.answer(weights) for candidate in examples]
        sharpness = best_sharpness([answer for answer in answers if answer.case != scenario])
        for answer in answers:
            if answer.case == scenario:
                squares.append((answer.confidence() - answer.right) ** 2)
                squares_sharpened.append((answer.confidence(sharpness) - answer.right) ** 2)
    findings = [told(reweighed(asked.candidates, weights_for(asked.scenario)), asked.window) for asked in windows]
    rights = [answers_it(told_findings, asked.truth) for told_findings, asked in zip(findings, windows, strict=True)]
    judgements = [*zip(windows, findings, rights, as_judged, strict=True)]
    return Merit(
        name,
        round(statistics.fmean(squares), 4),
        round(statistics.fmean(squares_sharpened), 4),
        sum(right for asked, _, right, _ in judgements if asked.tracers),
        sum(right for asked, _, right, _ in judgements if not asked.tracers),
        sum(bool(told_findings) and not right for _, told_findings, right, _ in judgements),
        sum(bool(told_findings) for asked, told_findings, _, _ in judgements if asked.truth.fault is None),
        sum(
            not (asked.truth.fault and is_right(fault, culprit, asked.truth))
            for asked, told_findings, _, _ in judgements
            for fault, culprit in told_findings
        ),
        [asked.name for asked, _, right, was in judgements if was and not right],
        [asked.name for asked, _, right, was in judgements if right and not was],
    )
