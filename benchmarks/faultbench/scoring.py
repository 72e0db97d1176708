"""Answers of any system, held against the truth of the recorded cases.

A fault is *right* where the first finding at the end has its class and names its culprit. Of several faults at once
any order will do, and all must be among the first :data:`WITHIN` findings. A finding before the onset, or on a machine
with which nothing is wrong, is a false alarm. A case that is not answered is neither found nor clean.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from benchmarks.faultbench.case import Case
from benchmarks.faultbench.submission import CaseAnswer, Found, Submission
from benchmarks.faultbench.truth import Truth

Test = Callable[[Found, Truth], bool]

WITHIN = 5
"""Findings among which all faults must be, where there are several: who names everything has found nothing."""


@dataclass(frozen=True, slots=True)
class CaseScore:
    """How one case went."""

    case: str
    group: str
    tags: frozenset[str]
    fault: str | None
    answered: bool
    class_right: bool
    culprit_right: bool
    both_right: bool
    """Class and culprit, in one finding; of several faults, of each."""
    clean: bool
    """Nothing was found where nothing was wrong: before the onset, or on a control at all."""
    beside: int
    """Findings at the end that are no fault of the case."""
    detected_s: int | None
    """The first second that was answered right, where seconds were."""

    @property
    def right(self) -> bool:
        """All that can be asked for."""
        return self.clean and (self.both_right or self.fault is None)


def score_case(case: Case, answer: CaseAnswer | None) -> CaseScore:
    """Hold one answer against the truth."""
    truth = case.truth
    shared = {"case": case.name, "group": case.group, "tags": case.tags, "fault": truth.fault}
    if answer is None:
        return CaseScore(
            **shared, answered=False, class_right=False, culprit_right=False, both_right=False, clean=False, beside=0,
            detected_s=None,
        )  # fmt: skip
    truths = [one_truth for one_truth in (truth, *truth.also) if one_truth.fault]
    return CaseScore(
        **shared,
        answered=True,
        class_right=all_found(answer.end, truths, _has_class),
        culprit_right=all_found(answer.end, truths, _names_culprit),
        both_right=all_found(answer.end, truths, _is_right),
        clean=not answer.before and not (truth.fault is None and answer.end),
        beside=sum(not any(_is_right(finding, each) for each in truths) for finding in answer.end),
        detected_s=min(
            (during.after_s for during in answer.during if all_found(during.findings, truths, _is_right)), default=None
        ),
    )


def _has_class(finding: Found, truth: Truth) -> bool:
    return finding.fault in truth.right


def _names_culprit(finding: Found, truth: Truth) -> bool:
    named = msgspec.to_builtins(finding.culprit)
    return any(culprit.is_named(named) for culprit in truth.culprits)


def _is_right(finding: Found, truth: Truth) -> bool:
    return _has_class(finding, truth) and _names_culprit(finding, truth)


def all_found(findings: Sequence[Found], truths: Sequence[Truth], test: Test) -> bool:
    """Whether the first finding passes a test for the one fault, or for each of several one of the first does."""
    considered = findings[: 1 if len(truths) == 1 else WITHIN]
    return bool(truths) and all(any(test(finding, truth) for finding in considered) for truth in truths)


def score(submission: Submission, cases: Iterable[Case]) -> list[CaseScore]:
    """Score all cases; those that are not answered, too."""
    return [score_case(case, submission.cases.get(case.name)) for case in cases]


@dataclass(frozen=True, slots=True)
class Total:
    """What some scores come to."""

    faults: int
    class_right: int
    culprit_right: int
    both_right: int
    false_before: int
    """Faults of which there was a finding before the onset."""
    controls: int
    clean_controls: int
    beside: int
    not_answered: int
    detected_median_s: float | None

    @property
    def right_share(self) -> float:
        """Share of all cases that are right: faults found, and controls that are clean."""
        whole = self.faults + self.controls
        return (self.both_right + self.clean_controls) / whole if whole else 0.0


def total(scores: Sequence[CaseScore]) -> Total:
    """Add up scores."""
    faults = [case for case in scores if case.fault is not None]
    controls = [case for case in scores if case.fault is None]
    seconds = [case.detected_s for case in faults if case.detected_s is not None]
    return Total(
        faults=len(faults),
        class_right=sum(case.class_right for case in faults),
        culprit_right=sum(case.culprit_right for case in faults),
        both_right=sum(case.both_right for case in faults),
        false_before=sum(case.answered and not case.clean for case in faults),
        controls=len(controls),
        clean_controls=sum(case.clean for case in controls),
        beside=sum(case.beside for case in scores),
        not_answered=sum(not case.answered for case in scores),
        detected_median_s=statistics.median(seconds) if seconds else None,
    )


def by_group(scores: Sequence[CaseScore]) -> dict[str, list[CaseScore]]:
    """Scores of faults by the subject of their scenario; and those with a tag by the tag."""
    groups: dict[str, list[CaseScore]] = {}
    for case in scores:
        if case.fault is None:
            continue
        groups.setdefault(case.group, []).append(case)
    for tag in sorted({tag for case in scores for tag in case.tags if case.fault is not None}):
        groups[f"*{tag}*"] = [case for case in scores if tag in case.tags and case.fault is not None]
    return groups
