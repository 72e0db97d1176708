"""The page of the changes that a diagnosis knows, written from their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.diagnosis.change import MOST_DAYS, Subject
from kernelsight.diagnosis.changed import MOST_TOLD, ONSET_ERROR_S, SEEN_LATE_S, SHORTLY_S
from kernelsight.diagnosis.fault import FaultClass
from kernelsight.diagnosis.threshold import Threshold


def changes_page(subjects: Iterable[Subject], faults: Iterable[FaultClass]) -> Iterator[str]:
    """The lines of the page."""
    yield from ("# What changed", "")
    yield (
        "A fault often follows a change. `kernelsight changes` lists what changed within a time, with `--at` what "
        "changed shortly before a moment; `kernelsight diagnose` says with each finding what changed shortly before "
        "and touches its path. A change is a candidate and never the cause: it is no step of the path, it makes no "
        "finding surer, and a change of which no way to the path is known is only counted."
    )
    yield from ("", "    $ kernelsight changes --since 1d", "    $ kernelsight changes --at 14:05", "")
    yield from ("| subject | what changes | shown by the collector |", "|---|---|---|")
    for subject in subjects:
        yield f"| `{subject.name}` | {subject.meaning} | {', '.join(f'`{name}`' for name in subject.collectors)} |"
    yield ""
    yield (
        "Each is a module of `src/kernelsight/diagnosis/changes/`. Of every change the rows are cited that show it. "
        "Most are found by looking now and then: a change lies between the last look that did not show it "
        "(`not_before`) and the one that does. Where a collector was not running, it lies between its last report and "
        "its next first look. Where nobody watched, the answer says so, and nothing is concluded from it."
    )
    yield from ("", "## Which changes a finding says", "")
    yield (
        "Those that may have come before the onset, and touch what the finding names: the culprit (first), a group or "
        "a program that it belongs to, a setting that governs the fault, then who suffers. What changed at the same "
        f"hour of one of the last {MOST_DAYS} days, too, comes after what did not; then the nearest in time is first. "
        f"At most {MOST_TOLD} are said."
    )
    yield from ("", "| threshold | value | because |", "|---|---|---|")
    named = {"SHORTLY_S": SHORTLY_S, "ONSET_ERROR_S": ONSET_ERROR_S, "SEEN_LATE_S": SEEN_LATE_S}
    yield from (_row(name, threshold) for name, threshold in named.items())
    yield from ("", "## Which settings govern a fault", "", "| fault | settings |", "|---|---|")
    for fault in faults:
        if fault.governed_by:
            yield f"| `{fault.name}` | {', '.join(f'`{pattern}`' for pattern in fault.governed_by)} |"


def _row(name: str, threshold: Threshold) -> str:
    return f"| `{name}` | {threshold:g} {threshold.unit} | {threshold.because} |"
