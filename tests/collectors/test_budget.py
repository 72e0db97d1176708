"""Floods: how many rows of a kind leave in a second, which of them, and that the others are counted."""

from __future__ import annotations

import random

import pytest
from grid import EPOCH, HandClock, Loads, S, run_to_file
from test_runner import register  # noqa: F401 - a fixture

from kernelsight.collectors.budget import SAVED_S, RowBudget
from kernelsight.events.declare import kind_of
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Load, SchedProcess
from kernelsight.events.wire import kinds

RATE = kind_of(Process).most_per_s


def storm(now: int, first_pid: int, count: int) -> list[Process]:
    return [Process(now, pid=first_pid + n, start_ticks=n, utime_ms=1, rss_kb=900) for n in range(count)]


def test_what_usual_machines_have_passes_whole_and_a_first_look_at_thousands_too():
    budget = RowBudget()
    first = storm(EPOCH, 1, 3000)
    assert budget.admit(first, 0) is first
    for second in range(1, 60):
        rows = storm(EPOCH, 10_000 * second, RATE // 2)
        assert budget.admit(rows, second * S) is rows
    assert (budget.left_out, budget.sentences) == (0, [])


def test_a_storm_is_bounded_counted_and_does_not_hide_who_matters():
    budget = RowBudget()
    written = 0
    chooser = random.Random(1)
    for second in range(60):
        busy = Process(EPOCH, pid=7, start_ticks=3, utime_ms=900 * second, rss_kb=500)
        large = Process(EPOCH, pid=8, start_ticks=4, utime_ms=5, rss_kb=8_000_000)
        writer = Process(EPOCH, pid=9, start_ticks=5, utime_ms=5, rss_kb=100, write_bytes=10**8 * second)
        rows = [*storm(EPOCH, 5000 * (second + 1), 1500), busy, large, writer]
        chooser.shuffle(rows)
        kept = budget.admit(rows, second * S)
        written += len(kept)
        place = {id(row): at for at, row in enumerate(rows)}
        places = [place[id(row)] for row in kept]
        assert places == sorted(places), "in their order"
        if second > 1:  # at the second look it is known how fast counters grow
            assert {7, 8, 9} <= {row.pid for row in kept}
    assert written <= RATE * (SAVED_S + 60)
    assert budget.left_out == 60 * 1503 - written
    (sentence,) = budget.sentences
    assert f"{budget.left_out} rows of process left out, beyond {RATE} a second" in sentence


def test_entities_that_were_kept_are_kept_so_that_their_counters_can_be_told():
    budget = RowBudget()
    names = [f"veth{n}" for n in range(2000)]
    counters = dict.fromkeys(names, 0)
    chooser = random.Random(2)
    before: set[str] = set()
    stayed = []
    for second in range(30):
        for name in names:
            counters[name] += chooser.randrange(90, 110)
        rows = [Network(EPOCH, interface_name=name, rx_bytes=counters[name]) for name in names]
        kept = {row.interface_name for row in budget.admit(rows, second * S)}
        if second > SAVED_S + 2:
            stayed.append(len(kept & before) / len(kept))
        before = kept
    assert min(stayed) > 0.95


def test_the_largest_file_systems_are_kept_among_mounts_of_nothing():
    budget = RowBudget()
    mounts = [Filesystem(EPOCH, mount_point=f"/m/{n}", size_bytes=4096) for n in range(2500)]
    mounts.insert(1700, Filesystem(EPOCH, mount_point="/", size_bytes=10**12))
    for second in range(40):
        kept = budget.admit(mounts, second * S)
        assert "/" in {row.mount_point for row in kept}
    assert len(kept) == kind_of(Filesystem).most_per_s


def test_one_kind_costs_another_nothing():
    budget = RowBudget()
    for second in range(30):
        rows = [SchedProcess(EPOCH, pid=n, cpu_time_ms=0.1) for n in range(1000)]
        kept = budget.admit([Load(EPOCH, load_1min=1.0), *rows], second * S)
        assert isinstance(kept[0], Load)


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_what_matters_of_a_kind_are_numbers(kind):
    assert kind.most_per_s > 0
    assert all(kind.by_name[column].type in {"INTEGER", "REAL"} for column in kind.matters)


def test_rows_that_are_left_out_are_in_the_report_of_their_collector_alone(register, tmp_path):  # noqa: F811
    class Flood(Loads):
        def collect(self, now):
            return storm(now, 1, 3000)

    register("flood", lambda host: Flood(), emits=(Process,))
    register("quiet", lambda host: Loads())
    ran = run_to_file(tmp_path, ["flood", "quiet"], duration_s=31, clock=HandClock())
    report, other = ran.last_report("flood"), ran.last_report("quiet")
    rows = [event for event in ran.samples if isinstance(event, Process)]
    assert report.events == len(rows) <= RATE * (SAVED_S + 31)
    assert report.events + report.left_out == 31 * 3000
    assert "rows of process left out" in report.reason
    assert (report.status, other.left_out, other.reason) == ("running", 0, None)
