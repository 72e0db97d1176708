"""What each check is good for: what the answers to the recorded cases are without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kernelsight.diagnosis.alternatives import explanations
from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.ranking import log_odds, weigh
from kernelsight.diagnosis.registry import mechanisms
from kernelsight.diagnosis.window import Window

CheckKey = tuple[str, str]
"""Mechanism and id of a check."""
Told = tuple[tuple[str, Entity], ...]
"""The findings of an answer, as fault and culprit, the first one first."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One check in one answer."""

    check: CheckKey
    held: int
    """Candidates for which it held."""
    failed: int
    told: Told
    """What would be told without it."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a check is good for over all answers."""

    check: CheckKey
    held: int
    failed: int
    changed: int
    """Answers with other findings, or findings in another order."""
    lost: int
    """Answers that are right with it and wrong without it."""
    won: int
    """Answers that are wrong with it and right without it."""


def told(candidates: Iterable[Candidate], window: Window) -> Told:
    """The findings that candidates lead to."""
    causes = weigh(candidates, window).causes
    return tuple(
        (explanation.candidate.fault, explanation.candidate.culprit)
        for explanation in explanations(causes, window, log_odds)
    )


def removals(candidates: Sequence[Candidate], window: Window) -> Iterator[Removal]:
    """The answer without each check that was made, one at a time."""
    keys = {
        (candidate.mechanism, outcome.check_id): None
        for candidate in candidates
        for outcome in candidate.checks
        if candidate.mechanism
    }
    for key in keys:
        outcomes = [
            outcome
            for candidate in candidates
            for outcome in candidate.checks
            if (candidate.mechanism, outcome.check_id) == key
        ]
        without = [_without(candidate, key) for candidate in candidates]
        held = sum(outcome.holds for outcome in outcomes)
        yield Removal(key, held, len(outcomes) - held, told(without, window))


def _without(candidate: Candidate, key: CheckKey) -> Candidate:
    kept = [outcome for outcome in candidate.checks if (candidate.mechanism, outcome.check_id) != key]
    return replace(candidate, checks=kept)


def worths(answers: Iterable[tuple[Told, Iterable[Removal], Sequence[bool]]]) -> list[Worth]:
    """What each check of each mechanism is good for, those that change most first.

    Args:
        answers: of each, what is told, the removals, and whether it is right: as it is, then without each check.
    """
    counts = {(name, check.id): [0] * 5 for name, mechanism in mechanisms().items() for check in mechanism.checks}
    for whole, without, (right, *rights) in answers:
        for removal, still_right in zip(without, rights, strict=True):
            sums = counts[removal.check]
            for place, amount in enumerate(
                (
                    removal.held,
                    removal.failed,
                    removal.told != whole,
                    right and not still_right,
                    still_right and not right,
                )
            ):
                sums[place] += amount
    ordered = sorted(counts.items(), key=lambda item: (-item[1][3], -item[1][2], item[0]))
    return [Worth(key, *sums) for key, sums in ordered]
