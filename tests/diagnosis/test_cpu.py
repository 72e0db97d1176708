"""Who takes the CPUs: known cases, and busy machines with which nothing is wrong."""

from __future__ import annotations

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process

QUIET = [*cpus(2), *used(10, "sshd", 1, 0.1), *used(11, "db", 200, 2)]


def findings(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    assert found.healthy is not bool(found.findings)
    return found.findings


def test_an_idle_machine_is_healthy(tmp_path):
    assert findings(stored(tmp_path / "db", QUIET)) == ()


def test_an_empty_store_is_healthy(tmp_path):
    assert findings(stored(tmp_path / "db", [])) == ()


def test_two_hogs_take_the_cpus_from_a_server(tmp_path):
    hogs = [*used(70, "crunch", 900, 600, group=5, since=FROM), *used(71, "crunch", 880, 600, group=5, since=FROM)]
    server = [*used(11, "db", 200, 1), *used(12, "web", 100, 300, since=FROM)]
    [finding] = findings(stored(tmp_path / "db", [*cpus(2), *server, *hogs]))
    assert (finding.fault, finding.culprit.id, finding.culprit.name) == ("cpu_saturation", "70", "crunch")
    assert [victim.name for victim in finding.victims] == ["web"]
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= SECOND
    assert not finding.began_before
    assert [step.evidence[0].metric for step in finding.path] == ["runqueue_ms", "runqueue_ms", "cpu_time_ms"]


def test_two_busy_compilers_on_two_cpus_hurt_nobody(tmp_path):
    compilers = [*used(70, "cc1", 980, 20, group=5), *used(71, "cc1", 980, 25, group=5)]
    assert findings(stored(tmp_path / "db", [*QUIET, *compilers])) == ()


def test_a_crowd_of_threads_is_not_a_few_hogs(tmp_path):
    crowd = [event for pid in range(100, 140) for event in used(pid, "worker", 48, 950, group=5, since=FROM)]
    [finding, *_] = findings(stored(tmp_path / "db", [*QUIET, *crowd]))
    assert (finding.fault, finding.culprit.name) == ("runqueue_contention", "worker")
    saturation = [one for one in diagnose(tmp_path / "db", START, END).ruled_out if one.fault == "cpu_saturation"]
    assert any("few tasks" in reason for one in saturation for reason in one.against)


def test_who_is_held_back_by_a_quota_is_not_short_of_cpus(tmp_path):
    group = [
        Cgroup(
            START + second * SECOND + 9,
            cgroup="/work.slice/limited",
            cgroup_id=5,
            cpu_periods=10 * second,
            cpu_throttled_periods=9 * max(0, second - FROM),
            cpu_throttled_us=800_000 * max(0, second - FROM),
            cpu_quota_us=20_000,
            cpu_period_us=100_000,
        )
        for second in range(LENGTH)
    ]
    held = used(70, "batch", 200, 800, group=5, since=FROM)
    [finding] = findings(stored(tmp_path / "db", [*QUIET, *held, *group]))
    assert (finding.fault, finding.culprit.kind, finding.culprit.id) == (
        "cpu_throttling",
        "cgroup",
        "/work.slice/limited",
    )
    assert [victim.name for victim in finding.victims] == ["batch"]


def test_without_tracers_processes_say_who_waits(tmp_path):
    samples = [
        Process(
            START + second * SECOND + 3,
            pid=pid,
            start_ticks=1,
            comm=comm,
            utime_ms=ran * second,
            stime_ms=0,
            cpu_delay_ns=queued * second * 1_000_000,
            cgroup=f"/{comm}",
        )
        for second in range(LENGTH)
        for pid, comm, ran, queued in ((70, "crunch", 950, 300), (71, "crunch", 940, 300), (12, "web", 100, 400))
    ]
    [finding] = findings(stored(tmp_path / "db", [*cpus(2), *samples]))
    assert (finding.fault, finding.culprit.name, finding.victims[0].name) == ("cpu_saturation", "crunch", "web")
    assert finding.began_before


@pytest.mark.parametrize("seconds", [(START, START + FROM * SECOND), (START - 60 * SECOND, START - SECOND)])
def test_a_window_before_it_began_is_healthy(tmp_path, seconds):
    hogs = used(70, "crunch", 990, 900, group=5, since=FROM)
    path = stored(tmp_path / "db", [*cpus(1), *used(12, "web", 100, 1), *hogs])
    assert diagnose(path, *seconds).healthy


def test_the_same_window_has_the_same_answer(tmp_path):
    hogs = [event for pid in (70, 71, 72) for event in used(pid, "crunch", 600, 300, group=5, since=FROM)]
    path = stored(tmp_path / "db", [*QUIET, *hogs, *used(12, "web", 100, 400, since=FROM)])
    assert diagnose(path, START, END) == diagnose(path, START, END)
