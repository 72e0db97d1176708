"""A clock that was set is known: from who tells of it, or from the order of rows; and what lies between two stamps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import msgspec
import pytest
from filled import SECOND, START

from kernelsight.diagnosis import diagnose
from kernelsight.events.clock import ClockStep
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu
from kernelsight.query.clock_notes import clock_notes, spoken_duration
from kernelsight.query.clock_steps import Step, clock_steps, elapsed_ns
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Batch, open_reader, open_writer

HOUR = 3600 * SECOND
ALL = TimeRange(START - 86_400 * SECOND, START + 86_400 * SECOND)


def arrived(path, rows: Sequence[Event]):
    """A reader of a store in which these rows arrived one after the other."""
    writer = open_writer(str(path))
    batch = Batch()
    for before, row in pairwise([rows[0], *rows]):
        if row.timestamp < before.timestamp:  # a batch keeps no order but that of stamps
            assert not writer.write(batch)
            batch = Batch()
        batch.events.setdefault(type(row), []).append(msgspec.structs.astuple(row))
    assert not writer.write(batch)
    writer.close()
    return open_reader(str(path))


def samples(stamps: Sequence[int], uptimes: Sequence[int], *, with_cpu: bool = True) -> Iterator[Event]:
    """Rows of a machine with two CPUs at some stamps, after some seconds of uptime."""
    for stamp, uptime in zip(stamps, uptimes, strict=True):
        yield Memory(stamp, mem_total_kb=1000)
        if with_cpu:
            yield Cpu(stamp, cpu=-1, user=uptime, system=uptime, idle=198 * uptime)


def processes(stamps: Sequence[int]) -> Iterator[Event]:
    for number, stamp in enumerate(stamps):
        yield Process(stamp, pid=1, comm="init", start_ticks=1, utime_ms=number, stime_ms=0)


def grid(first: int, count: int) -> list[int]:
    return [first + second * SECOND for second in range(count)]


BEFORE, UP = grid(START, 20), list(range(1000, 1060))
INFERRED = {
    "set back by 5.3 s": (BEFORE + grid(START + 14_700_000_000, 20), UP[:40], [(14_700, -5_300)]),
    "set back by 0.7 s": (BEFORE + grid(START + 19_300_000_000, 20), UP[:40], [(19_300, -700)]),
    "set back by a second": (BEFORE + grid(START + 19 * SECOND, 20), UP[:40], [(19_000, -1_000)]),
    "set ahead by 0.7 s": (BEFORE + grid(START + 20_700_000_000, 20), UP[:40], [(20_700, 700)]),
    "set back by an hour": (BEFORE + grid(START + 20 * SECOND - HOUR, 20), UP[:40], [(-3_580_000, -3_600_000)]),
    "set ahead by an hour": (BEFORE + grid(START + 20 * SECOND + HOUR, 20), UP[:40], [(3_620_000, 3_600_000)]),
    "set back twice": (
        BEFORE + grid(START + 10 * SECOND, 20) + grid(START + 25 * SECOND, 20), UP,
        [(10_000, -10_000), (25_000, -5_000)],
    ),
    "not set": (grid(START, 40), UP[:40], []),
    "some points missed": (grid(START, 10) + grid(START + 15 * SECOND, 10), UP[:10] + UP[15:25], []),
    "an hour not recorded": (BEFORE + grid(START + HOUR, 20), UP[:20] + [up + 3580 for up in UP[20:40]], []),
    "rows that came late": (grid(START + 10 * SECOND, 20) + grid(START, 10), UP[10:30] + UP[:10], []),
    "rows that came twice": (BEFORE + BEFORE, UP[:20] + UP[:20], []),
    "started anew, with rows of before": (BEFORE + grid(START - HOUR, 20), UP[:20] + list(range(20)), []),
}  # fmt: skip


@pytest.mark.parametrize(("stamps", "uptimes", "steps"), INFERRED.values(), ids=INFERRED)
def test_a_step_that_nobody_told_of_is_inferred_from_the_order_of_rows(tmp_path, stamps, uptimes, steps):
    reader = arrived(tmp_path / "k.db", list(samples(stamps, uptimes)))
    found = clock_steps(reader, ALL)
    reader.close()
    assert [((step.at_ns - START) // 10**6, round(step.step_ns / 10**6)) for step in found] == steps
    assert all(step.is_inferred for step in found)


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (BEFORE + grid(START + 14_700_000_000, 20), [-5_300]),
        (BEFORE + grid(START + HOUR, 20), []),  # ahead, or not recorded: without CPU time nobody knows
        (BEFORE + BEFORE, []),
        (BEFORE + grid(START + 5 * SECOND + 1, 5) + grid(START + 20 * SECOND, 10), []),  # late rows
    ],
)
def test_without_cpu_time_only_a_step_back_that_nothing_else_explains_is_inferred(tmp_path, stamps, expected):
    reader = arrived(tmp_path / "k.db", list(samples(stamps, range(len(stamps)), with_cpu=False)))
    assert [round(step.step_ns / 10**6) for step in clock_steps(reader, ALL)] == expected
    reader.close()


def told(at_ns: int, step_ns: int, suspended_ns: int = 0) -> ClockStep:
    return ClockStep(at_ns, step_ns=step_ns, suspended_ns=suspended_ns, before_ns=at_ns - step_ns, monotonic_ns=SECOND)


def test_what_collectors_tell_is_believed_once_and_said_of_the_times_that_it_touches(tmp_path):
    rows = [told(START, -HOUR), told(START + 5000, -HOUR), told(START + 60 * SECOND, 0, 2 * HOUR)]
    reader = arrived(tmp_path / "k.db", rows)
    assert [note.text.split(":")[0] for note in clock_notes(reader, ALL)] == [
        "the clock was set back by 1 h",
        "the machine was suspended for 2 h",
    ]
    touched = TimeRange(START + HOUR - SECOND, START + HOUR + SECOND)  # what the clock had reached before
    assert [step.step_ns for step in clock_steps(reader, touched)] == [-HOUR]
    assert not clock_steps(reader, TimeRange(START + 100 * SECOND, START + 200 * SECOND))
    reader.close()


def test_a_diagnosis_tells_of_a_clock_that_was_set_and_of_one_that_never_was(tmp_path):
    arrived(tmp_path / "set.db", list(samples(BEFORE + grid(START + 14_700_000_000, 20), UP[:40]))).close()
    found = diagnose(str(tmp_path / "set.db"), START, START + 40 * SECOND)
    [note] = found.notes
    assert found.findings == ()
    assert note.text.startswith("the clock was set back by 5.3 s: times from ")
    year = 365 * 86_400 * SECOND
    rows = [*samples(BEFORE + grid(START + year, 20), UP[:40]), *processes(BEFORE + grid(START + year, 20))]
    arrived(tmp_path / "ahead.db", rows).close()
    began = time.monotonic()
    found = diagnose(str(tmp_path / "ahead.db"), START, START + year + 40 * SECOND)
    assert time.monotonic() - began < 10  # not by the second
    assert [note.text for note in found.notes] == [
        "the clock was set ahead by 364 d 23 h, or the machine was suspended"
    ]
    arrived(tmp_path / "never.db", list(samples(grid(100 * SECOND, 40), UP[:40]))).close()
    with closing(open_reader(str(tmp_path / "never.db"))) as reader:
        [note] = clock_notes(reader, TimeRange(0, 200 * SECOND))
    assert note.text.startswith("the machine's clock read 1970-01-01T00:01:40")


BACK, AHEAD, ASLEEP = Step(1000, -500), Step(1000, 500), Step(1000, 0, 500)
ELAPSED = [
    ([], 10, 30, 20),
    ([BACK], 900, 990, 90),  # before
    ([BACK], 1490, 1010, 20),  # across
    ([BACK], 900, 1600, 1200),  # across, whatever the stamps say: no stamp of before is greater, none of after less
    ([BACK], 1100, 1200, 100),  # both times have these: neighbours
    ([BACK], 1501, 1700, 199),  # after
    ([AHEAD], 400, 1100, 200),
    ([AHEAD], 100, 400, 300),
    ([AHEAD], 1000, 1100, 100),
    ([ASLEEP], 400, 1100, 200),
    ([BACK, Step(2000, -100)], 900, 2200, 1900),
]


@pytest.mark.parametrize(("steps", "first", "second", "expected"), ELAPSED)
def test_time_between_two_stamps_leaves_out_what_the_clock_was_set_by(steps, first, second, expected):
    assert elapsed_ns(first, second, steps) == expected


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (5_300_000_000, "5.3 s"), (65 * SECOND, "1 min 5 s"), (3600 * SECOND, "1 h"), (3605 * SECOND, "1 h"),
        (90_000 * SECOND, "1 d 1 h"), (31_536_000 * SECOND, "365 d"),
    ],
)  # fmt: skip
def test_durations_are_said_as_people_say_them(ns, said):
    assert spoken_duration(ns) == said
