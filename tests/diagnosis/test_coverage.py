"""What was recorded decides which of the three answers there is: healthy, findings, not known."""

from __future__ import annotations

import pytest
from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.spans import common, holes, rest, union
from kernelsight.events.collector import CollectorReport
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Load
from kernelsight.events.tcp import Tcp
from kernelsight.events.wire import kinds


def seconds(step=1, since=0, until=LENGTH):
    return [START + second * SECOND for second in range(since, until, step)]


def memory(at):
    return [Memory(moment, mem_total_kb=8_000_000, mem_available_kb=4_000_000) for moment in at]


def processes(at):
    return [Process(moment, pid=1, comm="init", start_ticks=1, utime_ms=1, stime_ms=1) for moment in at]


def cpu(at):
    return [Cpu(moment, cpu=-1, user=1, system=1, idle=100 * i) for i, moment in enumerate(at)]


def running(name, kinds_of, since=0, until=LENGTH):
    """What a collector says of itself every ten seconds."""
    return [
        CollectorReport(moment, name=name, status="running", kinds=kinds_of) for moment in seconds(10, since, until + 1)
    ]


def not_running(name, reason):
    return CollectorReport(START, name=name, status="unavailable", reason=reason)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(cpu(seconds()) + memory(seconds()), id="two kinds of one's own"),
        pytest.param(processes(seconds()), id="processes alone"),
        pytest.param(processes(seconds(5)), id="every five seconds"),
        pytest.param(cpu(seconds(7)) + memory(seconds(7)), id="every seven seconds"),
        pytest.param(processes([m + 400_000_000 * (m // SECOND % 2) for m in seconds(2)]), id="with jitter"),
        pytest.param(processes([*seconds(until=12), *seconds(since=16)]), id="four samples were skipped"),
    ],
)
def test_foreign_collectors_with_few_kinds_and_their_own_pace_suffice(tmp_path, rows):
    found = diagnose(stored(tmp_path / "db", rows), START, END)
    assert (found.healthy, found.unknown) == (True, ())


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        pytest.param([], ["nothing was ever recorded here"], id="empty"),
        pytest.param(processes(seconds(until=15)), ["nothing is known after", "16 s of the window"], id="stopped"),
        pytest.param(processes(seconds(since=15)), ["nothing was recorded from", "(15 s)"], id="began late"),
        pytest.param(
            processes([*seconds(until=10), *seconds(since=20)]), ["nothing was recorded from", "(11 s)"], id="hole"
        ),
        pytest.param(processes([START, END]), ["(30 s)"], id="two samples, far apart"),
        pytest.param(cpu(seconds()), ["about memory", "memory, process, vmstat"], id="no witness of memory"),
        pytest.param(memory(seconds()), ["about who runs", "cpu, process, scheduler"], id="no witness of CPUs"),
        pytest.param(
            [*cpu(seconds()), not_running("memory", "no /proc/meminfo")], ["no /proc/meminfo"], id="with the reason"
        ),
        pytest.param(
            [Network(moment, interface_name="eth0") for moment in seconds()], ["about who runs", "about memory"],
            id="network alone",
        ),
        pytest.param([*running("cpu", "cpu"), *running("memory", "memory")], ["nothing was ever"], id="reports alone"),
        pytest.param(cpu(seconds()) + memory(seconds(until=12)), ["about memory between"], id="one of them died"),
    ],
)  # fmt: skip
def test_what_was_not_recorded_is_never_healthy(tmp_path, rows, reasons):
    found = diagnose(stored(tmp_path / "db", rows), START, END)
    assert (found.healthy, found.verdict) == (None, "unknown")
    for reason in reasons:
        assert reason in "; ".join(found.unknown)


def test_a_short_window_needs_more_than_a_sample(tmp_path):
    path = stored(tmp_path / "db", processes(seconds(10)))
    assert diagnose(path, START + 7 * SECOND, START + 14 * SECOND).verdict == "unknown"


def test_findings_stay_findings_in_a_window_that_is_half_known(tmp_path):
    hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, group=5)]
    path = stored(tmp_path / "db", [*cpus(2), *memory(seconds()), *hogs, *used(12, "web", 100, 400)])
    found = diagnose(path, START - 300 * SECOND, END)
    assert (found.healthy, found.verdict) == (False, "findings")
    assert "(300 s)" in found.unknown[0]


def faults_not_excluded(path):
    return {one.fault: one.collectors for one in diagnose(path, START, END).not_excluded}


def test_without_tracers_it_is_healthy_but_for_what_only_they_see(tmp_path):
    rows = [
        *cpu(seconds()), *memory(seconds()), *processes(seconds()),
        *(Vmstat(moment, pgfault=1) for moment in seconds()), *(Tcp(moment) for moment in seconds()),
        *running("block", "block"), *running("filesystem", "filesystem"), not_running("wait", "not root"),
    ]  # fmt: skip
    path = stored(tmp_path / "db", rows)
    assert diagnose(path, START, END).healthy is True
    open_still = faults_not_excluded(path)
    assert open_still["lock_contention"] == ("wait",)
    assert open_still["port_exhaustion"] == ("syscall_error",)
    seen = {"cpu_saturation", "memory_pressure", "memory_leak", "disk_saturation", "disk_full", "oom_kill", "fd_leak"}
    assert not seen & set(open_still)


def test_who_watches_for_what_seldom_occurs_says_so_in_its_reports(tmp_path):
    base = [*cpu(seconds()), *memory(seconds()), *processes(seconds())]
    whole = stored(tmp_path / "whole", [*base, *running("wait", "wait")])
    half = stored(tmp_path / "half", [*base, *running("wait", "wait", until=0)])
    assert "lock_contention" not in faults_not_excluded(whole)
    assert "lock_contention" in faults_not_excluded(half), "it watched for half of the time"


@pytest.mark.parametrize(("every", "excluded"), [(1, True), (5, False)])
def test_seconds_that_a_thinned_collector_left_out_are_no_evidence_of_absence(tmp_path, every, excluded):
    rows = [*cpu(seconds()), *memory(seconds()), *processes(seconds(5))]
    reports = [
        CollectorReport(moment, name="wait", status="running", kinds="wait", sampled_every=every)
        for moment in seconds(10, 0, LENGTH + 1)
    ]
    path = stored(tmp_path / "db", [*rows, *reports])
    assert ("lock_contention" not in faults_not_excluded(path)) == excluded


def test_a_thinned_collector_of_counters_still_watches_all_of_the_time(tmp_path):
    rows = [*cpu(seconds(5)), *memory(seconds(5)), *processes(seconds(5))]
    reports = [
        CollectorReport(moment, name=name, status="running", kinds=name, sampled_every=5)
        for moment in seconds(10, 0, LENGTH + 1)
        for name in ("cpu", "memory", "process", "block")
    ]
    path = stored(tmp_path / "db", [*rows, *reports])
    assert diagnose(path, START, END).verdict == "healthy"
    assert "disk_saturation" not in faults_not_excluded(path)


def test_what_no_mechanism_reads_proves_nothing(tmp_path):
    path = stored(tmp_path / "db", [Load(moment, load_1min=0.1) for moment in seconds()])
    assert diagnose(path, START, END).verdict == "unknown"


def test_every_class_of_faults_shows_in_kinds_that_there_are():
    for fault in fault_classes().values():
        assert fault.needs, f"{fault.name} does not say in which kinds of event it shows"
        for term in fault.needs:
            assert {*term.split("|")} <= set(kinds()), fault.name


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([], [(0, 100)]),
        ([10, 20, 30, 95], [(30, 95)]),
        ([40, 60, 80], [(0, 40)]),
        ([20, 40, 60], [(60, 100)]),
    ],
)
def test_a_hole_is_longer_than_allowed_and_lies_between_stamps_or_at_an_end(stamps, expected):
    assert holes(stamps, (0, 100), 25) == expected


def test_stretches_of_time_are_calculated_with():
    assert union([(0, 10), (20, 30)], [(5, 15), (30, 40)]) == [(0, 15), (20, 40)]
    assert common([(0, 15), (20, 40)], [(10, 25)]) == [(10, 15), (20, 25)]
    assert rest([(10, 20), (90, 100)], (0, 100)) == [(0, 10), (20, 90)]
