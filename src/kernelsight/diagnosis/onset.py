"""When a fault began: a property of the fault, and not of the window in which it was asked for.

What was there when a window began may have begun before it. Then the store is asked for the time before, a minute and
if need be five, with the same tests. What was there already then, or when the records begin, is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.effects import same_program
from kernelsight.diagnosis.model import Finding
from kernelsight.diagnosis.registry import finders, found_by, traits
from kernelsight.diagnosis.window import NS_PER_S, Window, moment
from kernelsight.events.wire import kinds
from kernelsight.query.times import TimeRange

LOOKS_BACK_S = (60, 300)
"""Seconds before a window that are looked at, as long as it was there when they began."""
_EVERY_SECOND = ("cpu", "memory", "sched_process", "process")
"""Kinds that have a row in every second in which anything is collected."""
AT_ONCE_NS = 2 * NS_PER_S
"""What is seen so soon after the first moment was there before: of what grows or is counted it takes two samples."""


def with_onsets(
    findings: Iterable[Finding], window: Window, *, likely: Callable[[Candidate], bool]
) -> tuple[Finding, ...]:
    """Findings with the moment when they began, also where that was before their window.

    Args:
        findings: what was found within a window.
        window: where to look.
        likely: whether a candidate would be a finding.
    """
    earlier: dict[int, Window] = {}
    return tuple(_dated(one, window, earlier, likely) for one in findings)


def _dated(
    suspect: Finding, window: Window, earlier: dict[int, Window], likely: Callable[[Candidate], bool]
) -> Finding:
    if not was_there(suspect.onset_ns, window):
        return suspect
    for back_s in LOOKS_BACK_S:
        begin_ns = window.begin_ns - back_s * NS_PER_S
        before = earlier.get(back_s)
        if before is None:
            before = earlier[back_s] = Window(window.reader, TimeRange(max(0, begin_ns), window.when.end_ns))
        onsets = [
            [
                one.onset_ns
                for one in found_by(test, before)[0]
                if one.onset_ns <= suspect.onset_ns and _is_same(one, suspect, before) and one.path and likely(one)
            ]
            for test in finders()[suspect.fault]
        ]
        # The latest of each mechanism: what was over before this began is another episode. It began with the first
        # of the ways in which it shows itself.
        onset_ns = min((max(found) for found in onsets if found), default=None)
        if onset_ns is None:
            break
        suspect = msgspec.structs.replace(suspect, onset_ns=onset_ns, began_before=was_there(onset_ns, before))
        if not suspect.began_before:
            break
    return suspect


def _is_same(one: Candidate, suspect: Finding, window: Window) -> bool:
    if one.culprit == suspect.culprit:
        return True
    return not traits(suspect.fault).uses_up and same_program(one.culprit, suspect.culprit, window)


def was_there(onset_ns: int, window: Window) -> bool:
    """Whether what is first seen then may have been there at the first moment that is known of a window."""
    return onset_ns < window.once(_known_from_ns) + AT_ONCE_NS


def _known_from_ns(window: Window) -> int:
    """The first moment of a window of which anything is recorded. Use with :meth:`Window.once`.

    A store that has no kind of those that tell of every second begins with what it has: somebody else recorded it.
    """
    first = _first_ns(window, _EVERY_SECOND) or _first_ns(window, window.read)
    return max(window.begin_ns, first)


def _first_ns(window: Window, names: Iterable[str]) -> int:
    """The first stamp of several kinds; 0 where they have no row."""
    sampled = (name for name in names if kinds()[name].interval_s is not None)
    return min((moment(rows[0]) for name in sampled if (rows := window.rows(kinds()[name].struct))), default=0)
