"""When the clock of a machine was set, and how much time lies between two stamps for all that.

Collectors tell of each step (`clock_steps`). Where nothing tells, as in recordings of other programs, a step is
inferred from the order in which the rows of a machine's own samples arrived: stamps go back, or leap ahead, while
the machine's CPU time goes on at its pace. Rows that came late, twice, or from another machine do not go on so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from kernelsight.events.declare import Kind
from kernelsight.events.wire import kinds
from kernelsight.query.dialect import Sql, run
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_NS_PER_S = 1_000_000_000
LEAST_STEP_NS = _NS_PER_S // 2
_TOLD_TWICE_NS = 2 * _NS_PER_S
"""Two collectors tell of the same step within so much of each other."""
_FEWEST_SAMPLES = 4
_UNSURE = 0.2
"""Part of a time without samples that the pace of CPU time may be wrong by, as when CPUs went offline."""
_ONE_A_GRID_POINT = ("memory", "load", "vmstat")
_CPU_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True, slots=True)
class Step:
    """The clock was set, or the machine was suspended."""

    at_ns: int
    """The first stamp of the new time."""
    step_ns: int
    """How far it was set; below 0: back."""
    suspended_ns: int = 0
    is_inferred: bool = False
    """Nobody told of it: the order of rows does. Ahead, it may be a suspend as well."""

    @property
    def left_ns(self) -> int:
        """The last stamp of the old time."""
        return self.at_ns - self.step_ns - self.suspended_ns


def elapsed_ns(first_ns: int, second_ns: int, steps: Iterable[Step]) -> int:
    """The time (ns, on CLOCK_MONOTONIC) between two stamps of which the first was taken first.

    After the clock was set back, some stamps occur twice. Two of them that go forward are taken for neighbours on
    the same side of the step; so that of samples taken less often than the step is long, the time may be too short
    by the step, and is never too long.

    Args:
        first_ns: a stamp.
        second_ns: one that was taken later; lower than the first where the clock was set back between them.
        steps: all of the time between them, and others.
    """
    return (
        second_ns
        - first_ns
        - sum(step.step_ns + step.suspended_ns for step in steps if _lies_between(step, first_ns, second_ns))
    )


def _lies_between(step: Step, first_ns: int, second_ns: int) -> bool:
    if step.left_ns < step.at_ns:
        return first_ns <= step.left_ns and second_ns >= step.at_ns
    goes_back = second_ns < first_ns <= step.left_ns and second_ns >= step.at_ns
    return goes_back or (first_ns < step.at_ns and second_ns > step.left_ns)


def clock_steps(reader: Reader, when: TimeRange) -> list[Step]:
    """The steps that touch a range: that begin or end a time in it; those that were told of, or else inferred."""
    return _told(reader, when) or _inferred(reader, when)


def _told(reader: Reader, when: TimeRange) -> list[Step]:
    kind = kinds()["clock_step"]
    if not reader.holds(kind.table) or reader.bounds(kind.table) is None:
        return []
    columns = ("timestamp", "step_ns", "suspended_ns")
    relation, params = reader.relation(kind.table, None, None, columns)
    text = f"SELECT {', '.join(columns)} FROM {relation} AS steps ORDER BY timestamp"
    steps: list[Step] = []
    for row in run(reader, Sql(text, params)):
        at_ns, step_ns, suspended_ns = (value if isinstance(value, int) else 0 for value in map(row.get, columns))
        step = Step(at_ns, step_ns, suspended_ns)
        if not any(when.start_ns <= moment <= when.end_ns for moment in (step.at_ns, step.left_ns)):
            continue
        if not (steps and _is_same(steps[-1], step)):
            steps.append(step)
    return steps


def _is_same(step: Step, other: Step) -> bool:
    pairs = ((step.at_ns, other.at_ns), (step.step_ns, other.step_ns), (step.suspended_ns, other.suspended_ns))
    return all(abs(a - b) < _TOLD_TWICE_NS for a, b in pairs)


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    cpu_time: int | None


def _inferred(reader: Reader, when: TimeRange) -> list[Step]:
    samples = next((sampled for name in _ONE_A_GRID_POINT if (sampled := _samples(reader, kinds()[name], when))), [])
    if samples and not _leaps(samples):
        return []
    cpu_time = "+".join(f"COALESCE({name}, 0)" for name in _CPU_TIMES)
    return infer(_samples(reader, kinds()["cpu"], when, cpu_time, " WHERE cpu = -1") or samples)


def _samples(reader: Reader, kind: Kind, when: TimeRange, value: str = "NULL", where: str = "") -> list[_Sample]:
    """The samples of a range in the order in which they arrived; none where they are too few to tell anything."""
    if not reader.holds(kind.table):
        return []
    relation, params = reader.relation(kind.table, when.start_ns, when.end_ns)
    text = f"SELECT timestamp, {value} FROM {relation} AS samples{where} ORDER BY id"
    samples = [
        _Sample(at_ns, cpu_time if isinstance(cpu_time, int) else None)
        for at_ns, cpu_time in reader.tuples(text, params)
        if isinstance(at_ns, int)
    ]
    return samples if len(samples) >= _FEWEST_SAMPLES else []


def _leaps(samples: Sequence[_Sample]) -> bool:
    grid_ns = _grid(samples)
    return any(abs(b.at_ns - a.at_ns - grid_ns) >= LEAST_STEP_NS for a, b in pairwise(samples))


def _grid(samples: Sequence[_Sample]) -> float:
    apart = [b.at_ns - a.at_ns for a, b in pairwise(samples) if b.at_ns > a.at_ns]
    return median(apart) if apart else _NS_PER_S


def infer(samples: Sequence[_Sample]) -> list[Step]:
    """The steps between samples, which are in the order of their arrival.

    CPU time (of all CPUs, idle time included) is the witness, which grows at the same pace whatever the clock says.
    Without it a step back is believed where stamps go back once, no stamp comes twice, and none returns to where
    they were: otherwise rows came late, or again.
    """
    grid_ns, pace = _grid(samples), _pace(samples)
    steps = []
    for place, (a, b) in enumerate(pairwise(samples), 1):
        apart_ns = b.at_ns - a.at_ns
        if abs(apart_ns - grid_ns) < LEAST_STEP_NS:
            continue
        if pace is None or a.cpu_time is None or b.cpu_time is None:
            if apart_ns > 0 or not _goes_on_once(samples, place):
                continue
            elapsed = grid_ns
        else:
            elapsed = (b.cpu_time - a.cpu_time) / pace
            if elapsed <= 0 or abs(apart_ns - elapsed) < _UNSURE * apart_ns:
                continue
        step_ns = round(apart_ns - elapsed)
        if abs(step_ns) >= LEAST_STEP_NS:
            steps.append(Step(b.at_ns, step_ns, is_inferred=True))
    return steps


def _pace(samples: Sequence[_Sample]) -> float | None:
    """CPU time that passes in a nanosecond of the clock, where it was not set."""
    grid_ns = _grid(samples)
    paces = [
        (b.cpu_time - a.cpu_time) / (b.at_ns - a.at_ns)
        for a, b in pairwise(samples)
        if a.cpu_time is not None and b.cpu_time is not None and 0 < b.at_ns - a.at_ns <= grid_ns + LEAST_STEP_NS
    ]
    return pace if len(paces) >= _FEWEST_SAMPLES - 1 and (pace := median(paces)) > 0 else None


def _goes_on_once(samples: Sequence[_Sample], place: int) -> bool:
    """Whether stamps go back at this place alone, and what follows is new."""
    before, after = samples[:place], samples[place:]
    goes_back = sum(b.at_ns < a.at_ns for a, b in pairwise(samples))
    repeats = {sample.at_ns for sample in before} & {sample.at_ns for sample in after}
    leaps_after = _leaps(after) if len(after) > 1 else True
    return goes_back == 1 and not repeats and not leaps_after
