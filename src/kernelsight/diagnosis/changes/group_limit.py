"""Limits of control groups that were set, changed or lifted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from kernelsight.diagnosis.change import Period, Subject, cited
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import Field, getter
from kernelsight.quantities import quantity
from kernelsight.query.distinct import distinct
from kernelsight.query.filters import Filter
from kernelsight.query.stored import moment


class _Limit(NamedTuple):
    """A limit of a group."""

    name: str
    column: Field[Cgroup, int | None]
    shown: Callable[[Cgroup], str]


def _amount(column: Field[Cgroup, int | None], unit: str) -> Callable[[Cgroup], str]:
    value_of = getter(column)

    def shown(row: Cgroup) -> str:
        value = value_of(row)
        return "no limit" if value is None else quantity(value, unit)

    return shown


def _quota(row: Cgroup) -> str:
    if row.cpu_quota_us is None:
        return "no limit"
    return f"{row.cpu_quota_us / (row.cpu_period_us or 100_000):.3g} CPUs"


_LIMITS = (
    _Limit("CPU quota", Cgroup.cpu_quota_us, _quota),
    _Limit("CPU weight", Cgroup.cpu_weight, _amount(Cgroup.cpu_weight, "")),
    _Limit("memory.max", Cgroup.memory_limit_bytes, _amount(Cgroup.memory_limit_bytes, "B")),
    _Limit("memory.high", Cgroup.memory_high_bytes, _amount(Cgroup.memory_high_bytes, "B")),
    _Limit("pids.max", Cgroup.pids_limit, _amount(Cgroup.pids_limit, "tasks")),
    _Limit("limit of reading", Cgroup.io_read_bytes_limit, _amount(Cgroup.io_read_bytes_limit, "B/s")),
    _Limit("limit of writing", Cgroup.io_write_bytes_limit, _amount(Cgroup.io_write_bytes_limit, "B/s")),
    _Limit("limit of reads", Cgroup.io_read_ios_limit, _amount(Cgroup.io_read_ios_limit, "requests/s")),
    _Limit("limit of writes", Cgroup.io_write_ios_limit, _amount(Cgroup.io_write_ios_limit, "requests/s")),
)
_COLUMNS = tuple(limit.column for limit in _LIMITS)


def _changes(period: Period) -> Iterator[Change]:
    several: set[object] = set()
    seen: set[object] = set()
    for group, *_ in distinct(period.reader, Cgroup, period.when, (Cgroup.cgroup, *_COLUMNS)):
        (several if group in seen else seen).add(group)
    for group in sorted(map(str, several)):
        columns = (Cgroup.cgroup, Cgroup.cpu_period_us, *_COLUMNS)
        rows = period.rows(Cgroup, where=[Filter(Cgroup.cgroup, "=", group)], columns=columns)
        for before, row in pairwise(rows):
            yield from _between(group, before, row)


def _between(group: str, before: Cgroup, row: Cgroup) -> Iterator[Change]:
    for limit in _LIMITS:
        value_of = getter(limit.column)
        if value_of(row) != value_of(before):
            yield Change(
                subject="group_limit",
                item=f"{limit.name} of {group}",
                claim=f"{limit.name} of {group} is {limit.shown(row)} instead of {limit.shown(before)}",
                at_ns=moment(row),
                after_ns=moment(before),
                evidence=(*cited(before), *cited(row)),
                about=(Entity("cgroup", group, group),),
            )


SUBJECT = Subject(
    meaning="limits of control groups: CPU, memory, tasks, I/O",
    collectors=("cgroup",),
    read=_changes,
)
