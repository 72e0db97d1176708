"""Whether a file system is full, when it filled up, and who filled it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kernelsight.agent.evidence import proof_of, shown_by
from kernelsight.agent.forecast import forecasts, told
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.agent.questions.words import at, group_name
from kernelsight.diagnosis.model import Evidence, Finding, Step
from kernelsight.events.declare import kind_of
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.process import Process
from kernelsight.quantities import quantity
from kernelsight.query.filters import Filter
from kernelsight.query.presence import why_no_rows
from kernelsight.query.times import TimeRange
from kernelsight.query.top import leading

_FULL = 0.05
"""Share of space for users that is left; less is full for whoever writes files of any size."""
_MOST_WRITERS = 3
_FILLING = {"disk_full", "inode_exhaustion"}


@dataclass(frozen=True, slots=True)
class _Mount:
    point: str
    rows: list[Filesystem]

    def left(self, row: Filesystem, *, inodes: bool) -> float | None:
        """Share that is left at a row."""
        free, size = (row.inodes_free, row.inodes_total) if inodes else (row.avail_bytes, row.size_bytes)
        return free / size if free is not None and size else None

    def is_full(self, row: Filesystem, *, inodes: bool) -> bool:
        """Whether next to nothing is left."""
        left = self.left(row, inodes=inodes)
        return left is not None and left < _FULL

    def filled_at(self, *, inodes: bool) -> Filesystem | None:
        """The row from which on it is full to the end; None where it is not full at the end."""
        first = None
        for row in reversed(self.rows):
            if not self.is_full(row, inodes=inodes):
                break
            first = row
        return first


@intent(
    r"\bfull\b|\bfullest\b|\bfill\b|\bout of (?:disk )?(?:space|inode)\b|\b(?:space|inode) (?:low|run out|left|free)\b|"
    r"\benough space\b|"
    r"\b(?:run out of|out of|low on) (?:disk )?(?:space|inode)\b|\bfree space\b|\bhow much (?:disk "
    r")?space\b|\bspace\b.*\b(?:left|free)\b|"
    r"\bdisk (?:space|usage|use)\b|\bhow much (?:disk )?(?:space )?(?:be )?left\b",
    order=32,
    examples=("is any disk full, and who filled it?", "when did / fill up?", "how much space is left on /?"),
)
def space(question: ParsedQuestion) -> Iterable[Step]:
    """Each file system with what is left of it, the fullest first; of one that filled up, when, and who wrote most."""
    if re.search(r"\bmemory\b|\bswap\b|\bcpu\b", question.plain):
        yield from _not_a_file_system(question)
        return
    mounts = _mounts(question)
    if not mounts:
        if not question.limits:
            question.limits.append(why_no_rows(question.reader, kind_of(Filesystem).table, question.when))
        return
    inodes = "inode" in question.plain.split()
    if re.search(r"\bwill\b|\bgo(?:ing)? to\b|\bhow long\b|\buntil\b", question.text, re.IGNORECASE):
        yield from _ahead(question, mounts, inodes=inodes)
    elif re.search(r"\bwhen\b|\bwhat time\b|\bsince\b", question.plain):
        yield from _when(question, mounts, inodes=inodes)
    else:
        yield from _now(question, mounts, inodes=inodes)


def _not_a_file_system(question: ParsedQuestion) -> Iterator[Step]:
    from kernelsight.agent.questions.intents.machine import memory  # noqa: PLC0415 - the two ask each other

    yield from memory(question)


def _mounts(question: ParsedQuestion) -> list[_Mount]:
    rows = question.rows(Filesystem, [Filter(Filesystem.size_bytes, ">", 0)])
    by_point: dict[str, list[Filesystem]] = {}
    for row in rows:
        by_point.setdefault(str(row.mount_point), []).append(row)
    named = [str(name.value) for name in question.names_of("mount")]
    devices = [str(name.value) for name in question.names_of("device")]
    if devices and not named:
        named = [
            point
            for point, own in by_point.items()
            if str(own[-1].device or "").rpartition("/")[2].startswith(tuple(devices))
        ]
        if not named:
            question.limits.append(
                f"the rows do not say which file system is on {devices[0]}; ask about a mount such as "
                f"{', '.join(by_point) or '/'}"
            )
            return []
    mounts = [_Mount(point, own) for point, own in by_point.items() if not named or point in named]
    # A file system that is read-only and full by construction, such as an image, does not fill up.
    return [mount for mount in mounts if named or not mount.rows[-1].read_only] or mounts


def _fullest(mounts: list[_Mount], *, inodes: bool) -> list[_Mount]:
    known = [mount for mount in mounts if mount.left(mount.rows[-1], inodes=inodes) is not None]
    return sorted(known, key=lambda mount: mount.left(mount.rows[-1], inodes=inodes) or 0.0)


def _said(mount: _Mount, row: Filesystem, *, inodes: bool) -> str:
    left = mount.left(row, inodes=inodes) or 0.0
    if inodes:
        return f"{mount.point} has used {1 - left:.0%} of its inodes, {row.inodes_free or 0:,.0f} are left"
    of = f"{quantity(row.avail_bytes or 0, 'B')} of {quantity(row.size_bytes or 0, 'B')} left"
    return f"{mount.point} is {1 - left:.0%} full, {of}"


def _shown(row: Filesystem, *, inodes: bool) -> tuple[Evidence, ...]:
    free, size = Filesystem.avail_bytes, Filesystem.size_bytes
    if inodes:
        free, size = Filesystem.inodes_free, Filesystem.inodes_total
    return tuple(shown_by([row], metric, "last") for metric in (free, size))


def _now(question: ParsedQuestion, mounts: list[_Mount], *, inodes: bool) -> Iterator[Step]:
    ordered = _fullest(mounts, inodes=inodes)
    if not ordered:
        question.limits.append("the rows of that time do not say how large the file systems are")
        return
    asks_fill = "fill" in question.plain.split() and re.search(r"\b(?:who|what|which)\b", question.plain)
    asks_full = re.search(r"\b(?:full|fill|out|low)\b", question.plain) and question.is_yes_no
    asks_left = re.search(r"\b(?:enough|left|free)\b", question.plain) and question.is_yes_no and not asks_full
    for place, mount in enumerate(ordered[: question.count]):
        row = mount.rows[-1]
        full = mount.is_full(row, inodes=inodes)
        other_full = not inodes and not full and mount.is_full(row, inodes=True)
        head = ""
        if place == 0 and (asks_full or asks_left):
            head = "Yes: " if (full or other_full) == bool(asks_full) else "No: "
        yield Step(head + _said(mount, row, inodes=inodes), _shown(row, inodes=inodes))
        if other_full:
            yield Step(_said(mount, row, inodes=True), _shown(row, inodes=True))
        if (full or asks_fill) and place == 0:
            yield from _filled(question, mount, inodes=inodes)


def _filled(question: ParsedQuestion, mount: _Mount, *, inodes: bool) -> Iterator[Step]:
    """When it filled up, and who wrote most meanwhile."""
    since = mount.filled_at(inodes=inodes)
    if since is not None and since is not mount.rows[0]:
        yield Step(f"{mount.point} has been full since {at(since)}", _shown(since, inodes=inodes))
    finding = next((finding for finding in question.diagnosis.present if _fills(finding, mount)), None)
    if finding is not None and finding.culprit.kind == "process" and finding.path and finding.path[-1].evidence:
        yield Step(
            f"the diagnosis blames {finding.culprit.name} ({finding.culprit.id}), {finding.confidence:.0%} "
            f"sure: {finding.path[-1].claim}",
            finding.path[-1].evidence,
        )
    yield from _writers(question, mount, inodes=inodes)


def _fills(finding: Finding, mount: _Mount) -> bool:
    """Whether a finding says that a mount is full."""
    about = (finding.culprit, *finding.victims)
    return finding.fault in _FILLING and any(mount.point in {entity.id, entity.name} for entity in about)


def _writers(question: ParsedQuestion, mount: _Mount, *, inodes: bool) -> Iterator[Step]:
    first, last = _falling(mount, inodes=inodes)
    if first is None or last is None or not question.recorded(kind_of(Process)):
        question.limits.append(
            f"the rows of that time do not say who filled {mount.point}: it did not fill up in that time"
            if first is None
            else "writes by process were not recorded"
        )
        return
    when = TimeRange(first.timestamp, last.timestamp)
    by = (Process.pid, Process.comm)
    most = leading(question.reader, Process, Process.write_bytes, by, when, n=_MOST_WRITERS)
    writers = [group for group in most if group.value]
    if not writers:
        question.limits.append(f"no process wrote anything while {mount.point} filled up, as far as was recorded")
    for place, group in enumerate(writers):
        where = [Filter(column, "=", group.of(column)) for column in by]
        evidence = proof_of(question.reader, Process.write_bytes, "increase", when, where)
        if evidence is None:
            continue
        writer = group_name({condition.column: condition.value for condition in where})
        wrote = f"{writer} wrote {quantity(evidence.value, 'B')}"
        claim = f"{wrote} while {mount.point} filled up, the most of all" if place == 0 else wrote
        yield Step(claim, (evidence,))
    if writers:
        lost = float((first.avail_bytes or 0) - (last.avail_bytes or 0))
        if not inodes and lost > 0:
            claim = f"{mount.point} lost {quantity(lost, 'B')} from {at(first)} to {at(last)}; to which "
            "file system a process wrote is not recorded"
            yield Step(claim, (*_shown(first, inodes=False)[:1], *_shown(last, inodes=False)[:1]))


def _falling(mount: _Mount, *, inodes: bool) -> tuple[Filesystem | None, Filesystem | None]:
    """Between which rows what is left went from its most to its least."""
    known = [row for row in mount.rows if mount.left(row, inodes=inodes) is not None]
    if not known:
        return None, None
    lows = [mount.left(row, inodes=inodes) or 0.0 for row in known]
    last = lows.index(min(lows))
    highs = lows[: last + 1]
    first = len(highs) - 1 - highs[::-1].index(max(highs))
    return (known[first], known[last]) if lows[first] > lows[last] else (None, None)


def _when(question: ParsedQuestion, mounts: list[_Mount], *, inodes: bool) -> Iterator[Step]:
    ordered = _fullest(mounts, inodes=inodes)
    filled = [(mount, row) for mount in ordered if (row := mount.filled_at(inodes=inodes)) is not None]
    if not filled:
        for mount in ordered[:1]:
            yield Step(
                f"{mount.point} did not fill up in that time: {_said(mount, mount.rows[-1], inodes=inodes)}",
                _shown(mount.rows[-1], inodes=inodes),
            )
        return
    for mount, row in filled:
        if row is mount.rows[0]:
            yield Step(
                f"{mount.point} was full before that time, and is still: {_said(mount, row, inodes=inodes)}",
                _shown(row, inodes=inodes),
            )
            continue
        yield Step(
            f"{mount.point} filled up at {at(row)}: from then on less than {_FULL:.0%} was left; at the end "
            f"{_said(mount, mount.rows[-1], inodes=inodes)}",
            _shown(row, inodes=inodes),
        )
    yield from _writers(question, filled[0][0], inodes=inodes) if filled[0][1] is not filled[0][0].rows[0] else ()


def _ahead(question: ParsedQuestion, mounts: list[_Mount], *, inodes: bool) -> Iterator[Step]:
    points = {mount.point for mount in mounts}
    resource = "inodes" if inodes else "space"
    foreseen = [
        forecast
        for forecast in forecasts(question.reader, question.when)
        if forecast.resource == resource and forecast.owner in points
    ]
    full = {mount.point for mount in mounts if mount.is_full(mount.rows[-1], inodes=inodes)}
    foreseen = [forecast for forecast in foreseen if forecast.owner not in full]
    for forecast in foreseen:
        shown = question.evidence(
            Metric(Filesystem.inodes_free if inodes else Filesystem.avail_bytes),
            "last",
            [Filter(Filesystem.mount_point, "=", forecast.owner)],
        )
        yield Step(f"{'Yes: ' if question.is_yes_no else ''}{told(forecast)}", (shown,) if shown else ())
    if foreseen:
        return
    for place, mount in enumerate(_fullest(mounts, inodes=inodes)[: question.count]):
        row = mount.rows[-1]
        if mount.is_full(row, inodes=inodes):
            yield Step(
                f"{'Yes: ' if question.is_yes_no and place == 0 else ''}{_said(mount, row, inodes=inodes)}",
                _shown(row, inodes=inodes),
            )
        else:
            head = "No, not as it went in that time: " if place == 0 else ""
            yield Step(
                f"{head}{_said(mount, row, inodes=inodes)}, and it does not fill steadily", _shown(row, inodes=inodes)
            )
