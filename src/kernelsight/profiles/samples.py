"""Stored samples of what processes compute, with the stacks that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernelsight.events.declare import kind_of
from kernelsight.events.stack import Stack, StackSample
from kernelsight.linux.stacks import Frames, decoded
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Where, conditions, where_sql
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value

_AT_ONCE = 500
MOST_STACKS = 20_000
"""Different stacks that are read for one question; those with most samples."""
_LATER_NS = 600 * 1_000_000_000
_EARLIER_NS = 3600 * 1_000_000_000
"""A stack in use is written again every five minutes: so far from the window it is looked for."""


@dataclass(frozen=True, slots=True)
class StoredStack:
    """A stack as it was written."""

    frames: Frames
    pid: int | None
    ends: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """Samples of one process with one stack."""

    pid: int
    comm: str
    user_stack_id: int | None
    kernel_stack_id: int | None
    samples: int
    cpu_ns: int


def counted(reader: Reader, when: TimeRange, where: Where = ()) -> list[Counted]:
    """The samples of a window, added up by process and stacks, most first.

    Args:
        reader: the store.
        when: the window.
        where: conditions on `stack_samples`.
    """
    kind = kind_of(StackSample)
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns)
    test = where_sql(reader.dialect, kind, conditions(where))
    rows = run(
        reader,
        Sql(
            "SELECT pid, comm, user_stack_id, kernel_stack_id, SUM(samples) AS samples, SUM(cpu_ns) AS cpu_ns "
            f"FROM {relation} AS samples WHERE {test.text} GROUP BY pid, comm, user_stack_id, kernel_stack_id "
            "ORDER BY 5 DESC",
            (*params, *test.params),
        ),
    )
    return [
        Counted(
            _whole(row["pid"]) or 0,
            _text(row["comm"]),
            _whole(row["user_stack_id"]),
            _whole(row["kernel_stack_id"]),
            max(_whole(row["samples"]) or 0, 0),
            max(_whole(row["cpu_ns"]) or 0, 0),
        )
        for row in rows
    ]


def stacks(reader: Reader, when: TimeRange, ids: Iterable[int]) -> Mapping[int, StoredStack]:
    """The stacks with these numbers, those left out that are not there or cannot be read."""
    kind = kind_of(Stack)
    wanted = list(dict.fromkeys(ids))[:MOST_STACKS]
    stacks_read: dict[int, StoredStack] = {}
    # In the window itself first: nearly all are there.
    for span in (when, TimeRange(max(0, when.start_ns - _EARLIER_NS), when.end_ns + _LATER_NS)):
        relation, params = reader.relation(kind.table, span.start_ns, span.end_ns)
        missing = [number for number in wanted if number not in stacks_read]
        for at in range(0, len(missing), _AT_ONCE):
            some = missing[at : at + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            text = f"SELECT stack_id, pid, frames, ends FROM {relation} AS known WHERE stack_id IN ({marks})"
            for row in run(reader, Sql(text, (*params, *some))):
                number, frames = _whole(row["stack_id"]), decoded(_text(row["frames"]))
                if number is not None and frames is not None:
                    stacks_read[number] = StoredStack(frames, _whole(row["pid"]), _text(row["ends"]))
    return stacks_read


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
