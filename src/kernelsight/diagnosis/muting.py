"""Findings that somebody acknowledged: which mutes hold for a window, and whether a finding is still what was muted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from kernelsight.diagnosis.model import Entity, Finding, Muted
from kernelsight.events.declare import kind_of
from kernelsight.events.mute import Mute
from kernelsight.query.rows import event_of, rows_of
from kernelsight.query.times import EVERYTHING
from kernelsight.stores.base import Reader

NS_PER_S = 1_000_000_000
BEFORE_NS = 600 * NS_PER_S
"""A mute also holds for windows that end so long before it was given: whoever gave it had looked at one."""
MORE_SURE = 0.25
"""A finding that is surer by so much than when it was muted has changed."""
GROWN = 2.0
"""And so has one whose symptom is so many times what it was."""
_ADDS_UP = frozenset({"sum", "increase", "count"})


def mutes(reader: Reader) -> list[Mute]:
    """All mutes of a store, the newest first, each as it was written last.

    Any SQLite client may write rows; one that no command of ours could have written mutes nothing.
    """
    kind = kind_of(Mute)
    if not reader.holds(kind.table):
        return []
    last: dict[str | None, Mute] = {}
    for row in rows_of(reader, kind, EVERYTHING):
        with suppress(msgspec.ValidationError):
            step = event_of(Mute, row)
            last[step.mute_id] = step
    return sorted(last.values(), key=lambda one: -one.timestamp)


def holding(steps: Iterable[Mute], end_ns: int) -> list[Mute]:
    """The mutes that hold at a moment (the end of a window)."""
    return [one for one in steps if one.stage == "muted" and one.timestamp - BEFORE_NS <= end_ns <= (one.until_ns or 0)]


def split(findings: Iterable[Finding], held: Sequence[Mute]) -> tuple[tuple[Finding, ...], tuple[Muted, ...]]:
    """The findings that nobody muted, or that have changed since; and those that are muted."""
    open_still: list[Finding] = []
    muted: list[Muted] = []
    for finding in findings:
        found = next((one for one in held if matches(one, finding)), None)
        if found is None:
            open_still.append(finding)
        else:
            muted.append(
                Muted(finding, found.mute_id or "", found.reason or "", found.until_ns or 0, found.muted_by or "")
            )
    return tuple(open_still), tuple(muted)


def matches(mute: Mute, finding: Finding) -> bool:
    """Whether a finding is the one that was muted: the same fault and culprit, hardly surer, not much worse."""
    if finding.fault != mute.fault or not is_named(finding.culprit, mute.culprit):
        return False
    if mute.culprit_kind is not None and mute.culprit_kind != finding.culprit.kind:
        return False
    if mute.confidence is not None and finding.confidence >= mute.confidence + MORE_SURE:
        return False
    symptom, magnitude = measured(finding)
    same = symptom == mute.symptom and mute.magnitude is not None and magnitude is not None
    return not (same and magnitude > GROWN * mute.magnitude)  # type: ignore[operator]


def is_named(culprit: Entity, name: str | None) -> bool:
    """Whether people call something by a name."""
    return name in {None, culprit.name, culprit.id}


def measured(finding: Finding) -> tuple[str | None, float | None]:
    """What the first number of a finding's path is, and how much; of what adds up with time, a second of its rows."""
    evidence = next((one for step in finding.path for one in step.evidence), None)
    if evidence is None:
        return None, None
    seconds = (evidence.end_ns - evidence.start_ns) / NS_PER_S + 1.0
    value = evidence.value / seconds if evidence.how in _ADDS_UP else evidence.value
    return f"{evidence.table}.{evidence.metric} {evidence.how}", value
