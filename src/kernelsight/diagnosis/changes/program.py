"""Programs that were started, or started again, and still run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kernelsight.diagnosis.change import DAY_NS, MOST_DAYS, NS_PER_S, Period, Subject, cited
from kernelsight.diagnosis.identity import ProgramId, process_entity
from kernelsight.diagnosis.model import Change
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.touching import Member, Places, Touch, closest
from kernelsight.events.boot import Boot
from kernelsight.events.declare import kind_of
from kernelsight.events.process import Process
from kernelsight.linux.services import service_of
from kernelsight.query.times import TimeRange

_TICK_NS = NS_PER_S // 100
_KTHREADD = 2
_LOOK_NS = 10 * NS_PER_S
"""Processes that do nothing have a row in so long at least."""
_MOST_LOOKS = 12
"""Parts of the period whose rows are read: what ran only between them is not told."""
LEAST_LIFE_S = Threshold(
    3, "s", because="judged: what ended sooner did its work, and is no program that stays; a fault lasts as long"
)
_MOST_EACH = 3
"""Processes of one program that are told one by one."""


class _Started(NamedTuple):
    row: Process
    at_ns: int


def _at(started: _Started) -> int:
    return started.at_ns


def _changes(period: Period) -> Iterator[Change]:
    boot_ns = _boot_ns(period)
    if boot_ns is None:
        return
    recorded = _recorded(period)
    if recorded is None:
        return
    looks = _looks(recorded)
    seen = [_processes(period, look) for look in looks]
    last: dict[tuple[int | None, int | None], Process] = {}
    for processes in seen:
        last |= {(row.pid, row.start_ticks): row for row in processes}
    by_program: dict[ProgramId, list[_Started]] = {}
    for row in last.values():
        started = _Started(row, boot_ns + (row.start_ticks or 0) * _TICK_NS)
        by_program.setdefault(_program(row), []).append(started)
    there_before = {_program(row) for row in seen[0]}
    for program, its in by_program.items():
        its.sort(key=_at)
        new = [each for each in its if _is_within(period.when, each.at_ns) and _stays(each)]
        older = [each for each in its if new and each.at_ns < new[0].at_ns < each.row.timestamp]
        if new:
            yield from _told(period, program, new, older, was_there=program in there_before)


def _boot_ns(period: Period) -> int | None:
    known = [row.boot_ns for row in period.history(Boot) if isinstance(row.boot_ns, int)]
    return known[-1] if known else None


def _recorded(period: Period) -> TimeRange | None:
    """The part of a period of which processes were recorded; None where none were."""
    table = kind_of(Process).table
    bounds = period.reader.bounds(table) if period.reader.holds(table) else None
    if bounds is None or bounds[0] > period.when.end_ns or bounds[1] < period.when.start_ns:
        return None
    return TimeRange(max(period.when.start_ns, bounds[0]), min(period.when.end_ns, bounds[1]))


def _looks(when: TimeRange) -> list[TimeRange]:
    """Parts of a period, the first at its beginning, the last at its end."""
    count = max(1, min(_MOST_LOOKS, when.length_ns // _LOOK_NS))
    step = max(0, when.length_ns - _LOOK_NS) // max(1, count - 1)
    starts = [when.start_ns + place * step for place in range(count)]
    return [TimeRange(start, min(start + _LOOK_NS, when.end_ns)) for start in starts]


_COLUMNS = (Process.pid, Process.ppid, Process.comm, Process.start_ticks, Process.cgroup)


def _processes(period: Period, when: TimeRange) -> list[Process]:
    return [
        row
        for row in period.rows(Process, when, columns=_COLUMNS)
        if row.start_ticks is not None and row.pid not in period.own and _KTHREADD not in {row.pid, row.ppid}
    ]


def _program(row: Process) -> ProgramId:
    return ProgramId(str(row.comm), row.cgroup)


def _is_within(when: TimeRange, at_ns: int) -> bool:
    return when.start_ns <= at_ns <= when.end_ns


def _stays(started: _Started) -> bool:
    """Whether it is known to have run for a while."""
    return started.row.timestamp - started.at_ns >= LEAST_LIFE_S * NS_PER_S


def _told(
    period: Period, program: ProgramId, new: Sequence[_Started], older: Sequence[_Started], *, was_there: bool
) -> Iterator[Change]:
    how = "another process of it started" if older else "it was started again" if was_there else "it was started"
    days = _days(period, program, new[0].at_ns)
    if len(new) > _MOST_EACH:
        yield _change(program, new, f"{len(new)} processes of {program.comm} were started", days)
        return
    for each in new:
        yield _change(program, [each], f"{program.comm} ({each.row.pid}): {how}", days)


def _change(program: ProgramId, started: Sequence[_Started], claim: str, days: int) -> Change:
    first = started[0]
    return Change(
        subject="program",
        item=program.comm,
        claim=claim,
        at_ns=first.at_ns,
        after_ns=first.at_ns,
        evidence=cited(first.row),
        about=tuple(process_entity(each.row.pid, each.row.comm) for each in started),
        group=str(program.group or ""),
        other_days=days,
    )


def _days(period: Period, program: ProgramId, at_ns: int) -> int:
    """On how many days before it ran at the same time of the day, half a minute after it was started now."""
    moments = (at_ns + 30 * NS_PER_S - day * DAY_NS for day in range(1, MOST_DAYS + 1))
    looks = (TimeRange(moment, moment + _LOOK_NS) for moment in moments if moment > 0)
    return sum(any(_program(row) == program for row in _processes(period, look)) for look in looks)


def _touches(change: Change, its: Places) -> Touch | None:
    """A process that started touches a finding that names it, its program or its control group."""
    return closest(way for member in its.members for way in _ways(change, member))


def _ways(change: Change, member: Member) -> Iterable[Touch]:
    entity = member.entity
    if entity in change.about:
        yield Touch(member.strength, f"it is {member.role}")
    elif entity.kind in {"program", "listener"} and entity.name == change.item:
        yield Touch(max(member.strength - 1, 1), f"{member.role} is of the same program")
    elif member.group == change.group and _is_of_a_service(change.group):
        same = entity.kind == "process" and entity.name == change.item
        what = "is of the same program" if same else "is in the same control group"
        yield Touch(max(member.strength - 1, 1) if same else 1, f"{member.role} {what}")


def _is_of_a_service(group: str) -> bool:
    """Whether what is in a control group belongs together, as a session of a person does not."""
    service = service_of(group)
    return service is not None and (service.container is not None or (service.unit or "").endswith(".service"))


SUBJECT = Subject(
    meaning="programs that were started, or started again, and still run",
    collectors=("boot",),
    read=_changes,
    touches=_touches,
)
