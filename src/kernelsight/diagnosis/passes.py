"""Stamps that occur twice, after the clock was set back: the rows of the first pass mix with those of the second.

Counters tell which row came first. Levels do not: two courses that take turns are no course, and a leak in both of
them is seen in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from kernelsight.events.declare import Event
from kernelsight.query.clock_steps import LEAST_STEP_NS, Step
from kernelsight.query.stored import moment, row_id

E = TypeVar("E", bound=Event)


def without_first_pass(rows: Sequence[E], steps: Iterable[Step]) -> Sequence[E]:
    """The rows of a kind without those that were stamped in a time which the clock then showed again.

    Args:
        rows: by time.
        steps: when the clock was set.
    """
    for step in steps:
        if step.step_ns >= 0:
            continue
        twice = [row for row in rows if step.at_ns <= moment(row) <= step.left_ns]
        second = _second_pass(twice)
        if second is not None:
            first = {row_id(row) for row in twice if row_id(row) < second}
            rows = [row for row in rows if row_id(row) not in first]
    return rows


def _second_pass(rows: Iterable[Event]) -> int | None:
    """The id of the row that arrived when stamps went back; None where they did not."""
    latest_ns = None
    for row in sorted(rows, key=row_id):
        if latest_ns is not None and moment(row) <= latest_ns - LEAST_STEP_NS:
            return row_id(row)
        latest_ns = max(moment(row), latest_ns or 0)
    return None
