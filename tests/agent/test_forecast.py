"""When something runs out: a steady course is followed, its scatter told, and what is no trend is left alone."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import LENGTH, SECOND, START, stored

from kernelsight.agent.forecast import forecasts, slope, told
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader


def found(path, events):
    reader = open_reader(stored(path, events))
    try:
        return forecasts(reader, TimeRange(START, START + (LENGTH + 1) * SECOND))
    finally:
        reader.close()


def every_second(make):
    return [make(START + second * SECOND, second) for second in range(LENGTH)]


def test_descriptors_that_leak_meet_their_limit_when_they_do(tmp_path):
    leak = every_second(lambda at, s: Process(at, pid=7, start_ticks=1, comm="leaky", fds=100 + 10 * s, fd_limit=1024))
    [one] = found(tmp_path / "db", leak)
    assert (one.resource, one.owner) == ("descriptors", "leaky 7")
    # 390 at the end, 10 a second: the remaining 634 take 63.4 s, and nothing is uncertain about it.
    assert one.seconds_left == pytest.approx(63.4)
    assert one.soonest_s == one.latest_s == pytest.approx(63.4)
    assert "used up in 63 s" in told(one)


def test_scatter_makes_the_time_uncertain(tmp_path):
    noise = random.Random(4)
    levels = [40_000_000 - 500_000 * s + noise.randint(-90_000, 90_000) for s in range(LENGTH)]
    [one] = found(tmp_path / "db", every_second(lambda at, s: Memory(at, mem_available_kb=levels[s])))
    assert one.resource == "memory"
    truth = (40_000_000 - 500_000 * (LENGTH - 1)) / 500_000
    assert one.soonest_s < truth < one.latest_s
    assert one.latest_s - one.soonest_s < 0.2 * truth


@pytest.mark.parametrize(
    "course",
    [
        lambda s: 500_000_000,
        lambda s: 500_000_000 - 40_000_000 * (s % 2),
        lambda s: 500_000_000 - 1_000 * s,
        lambda s: 100_000_000 + 10_000_000 * s,
    ],
    ids=["still", "to and fro", "so slowly that it takes days", "the other way"],
)
def test_what_does_not_run_out_is_not_foretold(tmp_path, course):
    events = every_second(
        lambda at, s: Filesystem(at, mount_point="/data", size_bytes=10**9, avail_bytes=course(s), read_only=False)
    )
    assert found(tmp_path / "db", events) == []


def test_the_soonest_comes_first_and_limits_of_groups_count(tmp_path):
    group = every_second(
        lambda at, s: Cgroup(
            at,
            cgroup="/a",
            memory_current_bytes=10**6 * (1 + s),
            memory_limit_bytes=10**8,
            pids_current=s,
            pids_limit=40,
        )
    )
    assert [(one.resource, one.owner) for one in found(tmp_path / "db", group)] == [
        ("tasks", "/a"),
        ("group_memory", "/a"),
    ]


def test_the_interval_of_the_slope_holds_it():
    """Of many noisy lines the true slope lies within nearly all intervals, which are no wider than they must be."""
    noise = random.Random(1)
    held, width = 0, []
    for _ in range(300):
        points = [(s * SECOND, 3.0 * s + noise.gauss(0, 5)) for s in range(30)]
        one = slope(points)
        held += one.low <= 3.0 <= one.high
        width.append(one.high - one.low)
    assert 0.92 <= held / 300 <= 0.99
    assert sum(width) / 300 < 1.0
