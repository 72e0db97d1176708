"""Scores as tables in Markdown, for a terminal and for a page alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.faultbench.scoring import CaseScore, Total, by_group, total

Scores = Mapping[str, Sequence[CaseScore]]
"""The scores of each system, all of the same cases."""


def comparison(scores: Scores) -> Iterator[str]:
    """What each system comes to, and how many faults of each group it finds."""
    totals = {system: total(of_system) for system, of_system in scores.items()}
    yield "| system | class | culprit | both | alarm before onset | clean controls | right of all |"
    yield "|---|---|---|---|---|---|---|"
    for system, sums in totals.items():
        yield f"| {system} | {' | '.join(_cells(sums))} |"
    yield ""
    yield from _of_groups("class and culprit right", scores, lambda case: case.both_right)
    yield ""
    yield from _of_groups("culprit right", scores, lambda case: case.culprit_right)


def _of_groups(title: str, scores: Scores, is_right: Callable[[CaseScore], bool]) -> Iterator[str]:
    groups = {system: by_group(of_system) for system, of_system in scores.items()}
    yield f"| {title} | faults | {' | '.join(scores)} |"
    yield f"|---|---|{'---|' * len(scores)}"
    for name, cases_of_group in sorted(next(iter(groups.values())).items()):
        rights = [str(sum(map(is_right, groups[system][name]))) for system in scores]
        yield f"| {name} | {len(cases_of_group)} | {' | '.join(rights)} |"


def cases(scored: Sequence[CaseScore]) -> Iterator[str]:
    """What went wrong, a line a case."""
    for case in scored:
        if not case.right:
            yield f"{case.case}: {case.fault or 'nothing is wrong'}: {_why(case)}"


def _cells(sums: Total) -> list[str]:
    return [
        f"{sums.class_right} of {sums.faults}",
        f"{sums.culprit_right} of {sums.faults}",
        f"{sums.both_right} of {sums.faults}",
        f"{sums.false_before} of {sums.faults}",
        f"{sums.clean_controls} of {sums.controls}",
        f"{sums.right_share:.0%}",
    ]


def _why(case: CaseScore) -> str:
    if not case.answered:
        return "not answered"
    reasons = []
    if not case.clean:
        reasons.append("a fault is found before the onset" if case.fault else "a fault is found all the same")
    if case.fault and not case.both_right:
        missing = [name for name, right in (("class", case.class_right), ("culprit", case.culprit_right)) if not right]
        reasons.append(f"the {' and the '.join(missing)} is wrong" if missing else "no finding has both")
    return ", ".join(reasons)
