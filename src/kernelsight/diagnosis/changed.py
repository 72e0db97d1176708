"""What changed within a time, and what of it may matter to a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import msgspec

from kernelsight.diagnosis.change import GAP_NS, Period, Subject
from kernelsight.diagnosis.model import Change, Finding, Watch
from kernelsight.diagnosis.own import REPORTS_BACK_NS, own_pids
from kernelsight.diagnosis.registry import ODD_VALUES
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.touching import Touch, places
from kernelsight.diagnosis.window import NS_PER_S, Window
from kernelsight.events.collector import CollectorReport
from kernelsight.moments import to_second
from kernelsight.query.source import Source, opened
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import Time, TimeRange, parse_time, time_range
from kernelsight.registry import Plugins
from kernelsight.stores.base import Reader

SHORTLY_S = Threshold(
    900,
    "s",
    because="judged: a change may need minutes to be felt, as caches fill and pools turn over; what is older than a "
    "quarter of an hour is seldom remembered by who made it",
)
ONSET_ERROR_S = Threshold(
    5, "s", because="judged: onsets are found to within some seconds, as a fault must last for three to be one"
)
SEEN_LATE_S = Threshold(
    60, "s", because="measured: the collectors of changes look at everything at least once in so many seconds"
)
MOST_TOLD = 5
"""Changes that are said with a finding; the others are counted."""


class Changes(NamedTuple):
    """What changed within a time."""

    when: TimeRange
    changes: tuple[Change, ...]
    """By time."""
    watched: tuple[Watch, ...]
    """Since when each subject is known."""


def _declared(module: ModuleType) -> Subject:
    name = module.__name__.rpartition(".")[2]
    declared = getattr(module, "SUBJECT", None)
    if not isinstance(declared, Subject):
        raise TypeError(f"diagnosis/changes/{name}.py: SUBJECT is to be a sort of change")
    return replace(declared, name=name)


_SUBJECTS = Plugins("kernelsight.diagnosis.changes", _declared)


def subjects() -> Mapping[str, Subject]:
    """All sorts of changes by name.

    Raises:
        TypeError: a module declares none.
    """
    return _SUBJECTS.all()


def changes(source: Source, start: Time, end: Time = "now") -> Changes:
    """What changed within a time.

    Args:
        source: the store.
        start: where the time begins.
        end: where it ends.

    Raises:
        UsageError: a time cannot be read.
        StoreError: the store cannot be read.
    """
    when = time_range(start, end)
    with opened(source) as reader:
        return _changes(Period(reader, when, _own(reader, when)))


def changes_before(source: Source, moment: Time) -> Changes:
    """What changed shortly before a moment, or may have: what was seen a little later may have come before it.

    Raises:
        UsageError: the moment cannot be read.
        StoreError: the store cannot be read.
    """
    at_ns = parse_time(moment)
    start_ns, end_ns = max(0, at_ns - int(SHORTLY_S * NS_PER_S)), at_ns + int(SEEN_LATE_S * NS_PER_S)
    found = changes(source, start_ns, end_ns)
    return found._replace(changes=tuple(change for change in found.changes if _is_shortly_before(change, at_ns)))


def _own(reader: Reader, when: TimeRange) -> frozenset[int]:
    lately = TimeRange(max(0, when.start_ns - REPORTS_BACK_NS), when.end_ns)
    return own_pids(stored_rows(reader, CollectorReport, lately), [], [])


def _changes(period: Period) -> Changes:
    found: list[Change] = []
    watched: list[Watch] = []
    for subject in subjects().values():
        its, failure = _read(subject, period)
        found += its
        watched.append(_watch(subject, period, failure))
    found.sort(key=lambda change: (change.at_ns, change.subject, change.item))
    return Changes(period.when, tuple(found), tuple(watched))


def _read(subject: Subject, period: Period) -> tuple[list[Change], str]:
    """The changes of a subject; and why they are not all, empty where they are.

    Any SQLite client may write rows, with values that no kernel gives. Those end this subject alone.
    """
    its: list[Change] = []
    try:
        its.extend(subject.read(period))
    except ODD_VALUES as error:
        return its, f"its rows hold a value that cannot be used ({type(error).__name__})"
    return its, ""


def _watch(subject: Subject, period: Period, failure: str) -> Watch:
    since_ns = period.watched_since(subject.collectors)
    if since_ns is not None:
        return Watch(subject.name, since_ns, failure)
    last = period.last_report(subject.collectors, period.when.end_ns)
    reason = _why_not(last, period.when.end_ns) if last is not None else "never recorded here"
    return Watch(subject.name, None, failure or str(reason))


def _why_not(last: CollectorReport, end_ns: int) -> str:
    if last.status == "running" and end_ns - last.timestamp > GAP_NS:
        return f"its collector has not run since {to_second(last.timestamp)}"
    return last.reason or last.status or ""


def with_changes(window: Window, findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], tuple[Watch, ...]]:
    """The findings, each with what changed shortly before and touches its path; and since when changes are known."""
    findings = tuple(findings)
    if not findings:
        return findings, ()
    before_ns = int(SHORTLY_S * NS_PER_S)
    start_ns = max(0, min(finding.onset_ns for finding in findings) - before_ns)
    known = _changes(Period(window.reader, TimeRange(start_ns, window.when.end_ns), window.own))
    return tuple(_with_changes(window, finding, known.changes) for finding in findings), known.watched


def _with_changes(window: Window, finding: Finding, changes: Iterable[Change]) -> Finding:
    its = places(window, finding)
    touching: list[tuple[Touch, Change]] = []
    elsewhere = 0
    for change in changes:
        if not _is_shortly_before(change, finding.onset_ns):
            continue
        touch = subjects()[change.subject].touches(change, its)
        if touch is None:
            elsewhere += 1
        else:
            touching.append((touch, msgspec.structs.replace(change, touches=touch.text)))
    touching.sort(key=lambda pair: _rank(pair, finding.onset_ns))
    told = tuple(_first_of_each(change for _, change in touching))[:MOST_TOLD]
    elsewhere += len(touching) - len(told)
    return msgspec.structs.replace(finding, changes=told, changes_elsewhere=elsewhere)


def _first_of_each(changes: Iterable[Change]) -> Iterator[Change]:
    """One change of each thing: a program that is started again and again says the same each time."""
    seen: set[tuple[str, str]] = set()
    for change in changes:
        if (change.subject, change.item) not in seen:
            seen.add((change.subject, change.item))
            yield change


def _is_shortly_before(change: Change, onset_ns: int) -> bool:
    """Whether a change may have come before: not later, nor long ago."""
    earliest = change.at_ns if change.after_ns is None else min(change.after_ns, change.at_ns)
    return earliest <= onset_ns + ONSET_ERROR_S * NS_PER_S and change.at_ns >= onset_ns - SHORTLY_S * NS_PER_S


def _rank(pair: tuple[Touch, Change], onset_ns: int) -> tuple[int, bool, int, str]:
    """By how it touches the path; what is new at this hour before what is not; and by nearness in time."""
    touch, change = pair
    return -touch.strength, change.other_days > 0, abs(onset_ns - change.at_ns), change.item


def told(change: Change) -> str:
    """A change with its time, and, said with a finding, how it touches the finding's path."""
    parts = [f"{_time(change)}: {change.claim}"]
    if change.touches:
        parts.append(change.touches)
    if change.other_days:
        days = "another day" if change.other_days == 1 else f"{change.other_days} other days"
        parts.append(f"it changed at this hour on {days}, too")
    return "; ".join(parts)


def _time(change: Change) -> str:
    at = to_second(change.at_ns)
    if change.after_ns is None:
        return f"before {at}"
    if change.at_ns - change.after_ns < NS_PER_S:
        return at
    return f"between {to_second(change.after_ns)} and {at}"


def watched_since(watched: Iterable[Watch]) -> str:
    """Since when changes are known, and of which subjects they are not, in a sentence."""
    watched = list(watched)
    since = sorted((watch.since_ns, watch.subject) for watch in watched if watch.since_ns is not None)
    unknown = [plural(watch.subject) for watch in watched if watch.since_ns is None]
    known = f"changes are watched since {to_second(since[-1][0])}" if since else "changes were not watched"
    return f"{known}; not known: {', '.join(unknown)}" if since and unknown else known


def plural(subject: str) -> str:
    """A subject as people name all of it."""
    return f"{subject.replace('_', ' ')}s".replace("ss", "sses")


def not_watched(watched: Iterable[Watch], when: TimeRange) -> Iterator[str]:
    """What is not known of a time, a sentence for each reason: a change may be there that nobody saw."""
    by_reason: dict[str, list[str]] = {}
    for watch in watched:
        if watch.since_ns is None:
            reason = f"not known, because {watch.why_not}"
        elif watch.why_not:
            reason = f"not all are known, because {watch.why_not}"
        elif watch.since_ns > when.start_ns:
            reason = f"not known before {to_second(watch.since_ns)}"
        else:
            continue
        by_reason.setdefault(reason, []).append(plural(watch.subject))
    yield from (f"{', '.join(several)}: {reason}" for reason, several in by_reason.items())
