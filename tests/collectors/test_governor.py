"""Collecting stays under its ceiling: the dearest are thinned first, and rows still tell the truth."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from grid import EPOCH, HandClock, Loads, S, run_to_file

from kernelsight.collectors import base
from kernelsight.collectors.base import collector
from kernelsight.collectors.governor import LAST_STEP, WINDOW_NS, Governor, Pace
from kernelsight.events.clock import ClockStep
from kernelsight.events.scheduler import Load, SchedProcess, Wait

MS = 1_000_000


@dataclass
class Source:
    """A collector that takes so much CPU time for each reading."""

    cost_ms: float
    sums: bool = False
    cpu_ns: int = 0
    pace: Pace = field(init=False)

    def __post_init__(self):
        self.pace = Pace(sums=self.sums)


class Machine:
    """Grid points without end, and what their readings cost."""

    def __init__(self, ceiling, *sources, besides_ms=0.0):
        self.governor = Governor(ceiling, S)
        self.sources, self.besides_ms = sources, besides_ms
        self.point = self.cpu_ns = 0

    def run(self, seconds):
        """Go on for so long; the share of a CPU that was used."""
        before = self.cpu_ns
        for _ in range(seconds):
            read = [source for source in self.sources if source.pace.due(self.point) != "nothing"]
            for source in read:
                source.cpu_ns += round(source.cost_ms * MS)
                self.cpu_ns += round(source.cost_ms * MS)
            self.cpu_ns += round(self.besides_ms * MS)
            self.point += 1
            self.governor.look(self.point * S, self.cpu_ns, self.sources, read)
        return (self.cpu_ns - before) / (seconds * S)


def test_what_costs_less_than_it_may_is_left_alone():
    machine = Machine(0.01, Source(5), Source(4, sums=True))
    assert machine.run(600) == pytest.approx(0.009)
    assert [source.pace.every for source in machine.sources] == [1, 1]


def test_a_minute_is_recorded_in_full_before_anything_is_thinned():
    machine = Machine(0.01, Source(500))
    machine.run(WINDOW_NS // S)
    assert machine.sources[0].pace.every == 1
    machine.run(2)
    assert machine.sources[0].pace.every == LAST_STEP


def test_a_burst_that_the_minute_has_room_for_is_recorded_in_full():
    source = Source(2)
    machine = Machine(0.01, source)
    machine.run(120)
    source.cost_ms = 60
    machine.run(5)
    assert source.pace.every == 1


def test_the_dearest_is_thinned_and_the_others_are_not():
    cheap, dear = Source(2), Source(40)
    machine = Machine(0.01, cheap, dear)
    machine.run(180)
    assert cheap.pace.every == 1
    assert dear.pace.every == 10
    assert machine.run(600) <= 0.01
    assert "samples one second in 10" in machine.governor.sentence(dear.pace)
    assert not machine.governor.sentence(cheap.pace)


@pytest.mark.parametrize("costs", [(9, 8, 7, 6), (1, 1, 30), (3,) * 12, (12, 0.1)])
@pytest.mark.parametrize("sums", [True, False])
def test_whatever_the_costs_it_stays_under_the_ceiling_while_that_can_be(costs, sums):
    machine = Machine(0.01, *(Source(cost, sums=sums) for cost in costs), besides_ms=0.5)
    machine.run(300)
    assert machine.run(600) <= 0.01
    assert not machine.governor.falls_short


def test_counters_are_thinned_before_sums_of_the_same_cost_as_they_lose_less():
    counters, sums = Source(8), Source(8, sums=True)
    machine = Machine(0.013, counters, sums)
    machine.run(200)
    assert counters.pace.every > 1
    assert sums.pace.every == 1


def test_what_costs_next_to_nothing_is_left_alone_however_much_the_others_cost():
    cheap, dear = Source(0.2), Source(5000)
    machine = Machine(0.01, cheap, dear)
    machine.run(200)
    assert (cheap.pace.every, dear.pace.every) == (1, LAST_STEP)
    assert machine.governor.falls_short


def test_a_minute_without_a_sample_is_the_last_resort():
    sources = [Source(20, sums=number % 2 > 0) for number in range(14)]
    machine = Machine(0.01, *sources)
    machine.run(200)
    assert {source.pace.every for source in sources} <= {30, LAST_STEP}
    assert machine.run(600) <= 0.01
    for source in sources:
        source.cost_ms = 0.1
    machine.run(3000)
    assert {source.pace.every for source in sources} == {1}


def test_it_says_when_nothing_more_can_be_thinned():
    source = Source(900)
    machine = Machine(0.01, source)
    machine.run(200)
    assert machine.governor.falls_short
    assert "no more can be thinned" in machine.governor.sentence(source.pace)


def test_what_was_thinned_is_sampled_each_second_again_when_it_has_become_cheap_and_not_to_and_fro():
    dear, other = Source(30), Source(3)
    machine = Machine(0.01, dear, other)
    machine.run(300)
    paces = []
    for _ in range(300):
        machine.run(1)
        paces.append(dear.pace.every)
    assert len(set(paces)) == 1
    assert paces[0] > 1
    dear.cost_ms = 1
    machine.run(300)
    assert (dear.pace.every, other.pace.every) == (1, 1)


def test_sums_are_read_a_second_before_each_sample():
    pace = Pace(sums=True)
    pace.every = 5
    assert [pace.due(point) for point in range(6)] == ["sample", "nothing", "nothing", "nothing", "prepare", "sample"]
    pace = Pace(sums=False)
    pace.every = 5
    assert [pace.due(point) for point in range(6)] == ["sample", *["nothing"] * 4, "sample"]


@pytest.fixture
def register(monkeypatch):
    base.registered()
    monkeypatch.setattr(base._SOURCES, "_declared", {})
    monkeypatch.setattr(base._SOURCES, "_all", None)

    def add(name, factory, emits):
        factory.__doc__ = "For a test."
        collector(name=name, source="test", emits=(*emits, ClockStep))(factory)

    return add


def burn(ms):
    end = time.thread_time_ns() + ms * MS
    while time.thread_time_ns() < end:
        pass


def test_what_a_tracer_can_discard_is_not_made_rows_of_before_a_sample(register, tmp_path):
    looked = []

    class Sums(Loads):
        """Knows when it was read and how."""

        def collect(self, now):
            burn(25)
            looked.append(("collect", (now - EPOCH) // S))
            return [Wait(now, pid=1, waker_pid=2, count=1)]

        def discard(self):
            looked.append(("discard", looked[-1][1]))

    register("sums", lambda host: Sums(), (Wait, SchedProcess))
    run_to_file(tmp_path, ["sums"], duration_s=120, clock=HandClock(), max_cpu=0.01)
    late = [how for how, at in looked if at > 80]
    assert set(late) == {"collect", "discard"}
    assert all(a != b for a, b in pairwise(late))


def test_a_thinned_run_has_true_rows_and_reports_what_it_left_out(register, tmp_path):
    class Sums(Loads):
        """Counts the seconds since it was read last, as a map that is drained does."""

        def __init__(self):
            super().__init__()
            self.read_at = None

        def collect(self, now):
            burn(25)
            before, self.read_at = self.read_at, now
            return [] if before is None else [Wait(now, pid=1, waker_pid=2, count=(now - before) // S)]

    class Cheap(Loads):
        """Reads next to nothing."""

    register("sums", lambda host: Sums(), (Wait, SchedProcess))
    register("cheap", lambda host: Cheap(), (Load,))
    ran = run_to_file(tmp_path, ["sums", "cheap"], duration_s=180, clock=HandClock(), max_cpu=0.01)
    waits = [event for event in ran.samples if isinstance(event, Wait)]
    assert {wait.count for wait in waits} == {1}
    late = [(wait.timestamp - EPOCH) // S for wait in waits if wait.timestamp >= EPOCH + 100 * S]
    assert {b - a for a, b in pairwise(late)} == {10}
    assert len([event for event in ran.samples if isinstance(event, Load)]) == 180
    report = ran.last_report("sums")
    assert report.sampled_every == 10
    assert "samples one second in 10" in report.reason
    assert report.process_rss_kb > 1000
    assert report.process_cpu_ns >= report.cpu_ns > 0
    assert ran.last_report("cheap").sampled_every == 1
    assert ran.last_report("cheap").reason is None
