"""Who takes the CPUs: known cases, and busy machines with which nothing is wrong."""

from __future__ import annotations

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess

QUIET = [*cpus(2), *used(10, "sshd", 1, 0.1), *used(11, "db", 200, 2)]


def one_second(pid, comm, ran_ms, queued_ms, second):
    """A process that lives for one second."""
    return [event for event in used(pid, comm, ran_ms, queued_ms, since=second) if event.timestamp < at(second + 1)]


def at(second):
    return START + second * SECOND


def niced(pid, second):
    return Process(at(second) + 3, pid=pid, start_ticks=1, ppid=1, comm="crunch", nice=19)


def times(idle, since=0):
    """Rows of CPUs that idle for a share of each second from one on, and all of it before."""
    for cpu, share in idle.items():
        rested = 0
        for second in range(LENGTH):
            rested += round(100 * share) if second >= since else 100
            yield Cpu(at(second) + 2, cpu=cpu, user=100 * second - rested + 100, idle=rested, system=0)


def limited(path, group_id, held_us):
    """A group with a quota that holds it back for so long a second, from a second on."""
    for second in range(LENGTH):
        hit = max(0, second - FROM)
        yield Cgroup(
            at(second) + 9, cgroup=path, cgroup_id=group_id, cpu_periods=10 * second, cpu_throttled_periods=9 * hit,
            cpu_throttled_us=held_us * hit, cpu_quota_us=20_000, cpu_period_us=100_000,
        )  # fmt: skip


def findings(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    assert (found.healthy is False) is bool(found.findings)
    return found.findings


def test_an_idle_machine_is_healthy(tmp_path):
    assert findings(stored(tmp_path / "db", QUIET)) == ()


def test_of_an_empty_store_nothing_is_known(tmp_path):
    found = diagnose(stored(tmp_path / "db", []), START, END)
    assert (found.verdict, found.healthy, found.findings) == ("unknown", None, ())


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
    group = limited("/work.slice/limited", 5, 800_000)
    held = used(70, "batch", 200, 800, group=5, since=FROM)
    [finding] = findings(stored(tmp_path / "db", [*QUIET, *held, *group]))
    assert (finding.fault, finding.culprit.kind, finding.culprit.id) == (
        "cpu_throttling",
        "cgroup",
        "/work.slice/limited",
    )
    assert [victim.name for victim in finding.victims] == ["batch"]


def test_loops_that_want_more_cpus_than_there_are_slow_each_other(tmp_path):
    loops = [event for pid in (70, 71, 72) for event in used(pid, "stress", 660, 335, group=5, since=FROM)]
    [finding] = findings(stored(tmp_path / "db", [*QUIET, *loops]))
    assert (finding.fault, finding.culprit.name) == ("cpu_saturation", "stress")
    assert {victim.name for victim in finding.victims} == {"stress"}


@pytest.mark.parametrize(
    ("what", "others"),
    [
        ("as many loops as CPUs", [(70, "loop", 960, 40), (71, "loop", 960, 40)]),
        ("threads that pass work on", [(70, "httpd", 900, 700), (71, "wrk", 900, 700)]),
        ("many short jobs", None),
    ],
)
def test_busy_without_loops_beyond_the_cpus_is_healthy(tmp_path, what, others):
    if others is None:
        jobs = [
            job
            for second in range(FROM, LENGTH)
            for pid in range(3)
            for job in one_second(1000 + 10 * second + pid, "cc1", 660, 340, second)
        ]
    else:
        jobs = [event for pid, comm, ran, queued in others for event in used(pid, comm, ran, queued, slept=900)]
    assert findings(stored(tmp_path / "db", [*QUIET, *jobs])) == (), what


def test_victims_may_have_the_name_of_the_culprit(tmp_path):
    hog, victim = used(70, "python3", 620, 380, since=FROM), used(71, "python3", 100, 300, since=FROM)
    [finding] = findings(stored(tmp_path / "db", [*times({0: 0.0, 1: 0.9}, since=FROM), *hog, *victim]))
    assert (finding.culprit.id, [one.id for one in finding.victims]) == ("70", ["71"])


def test_who_came_is_to_blame_and_not_who_was_as_busy_before(tmp_path):
    app = [event for pid in (70, 71) for event in used(pid, "app", 900, 20) if event.timestamp < at(FROM)]
    slowed = [event for pid in (70, 71) for event in used(pid, "app", 520, 460, since=FROM)]
    came = [event for pid in (80, 81) for event in used(pid, "came", 470, 510, since=FROM)]
    [finding] = findings(stored(tmp_path / "db", [*cpus(2), *app, *slowed, *came]))
    assert (finding.culprit.name, finding.victims[0].name) == ("came", "app")


def test_hogs_that_come_to_a_machine_where_some_wait_already_are_found_at_once(tmp_path):
    short = [
        job
        for second in range(LENGTH)
        for pid in range(2)
        for job in one_second(1000 + 10 * second + pid, "job", 500, 200, second)
    ]
    came = [event for pid in (80, 81, 82) for event in used(pid, "came", 500, 450, since=LENGTH - 7)]
    finding, *_ = findings(stored(tmp_path / "db", [*QUIET, *short, *came]))
    assert (finding.fault, finding.culprit.name) == ("cpu_saturation", "came")


def test_niced_loops_give_way(tmp_path):
    loops = [event for pid in (70, 71, 72) for event in used(pid, "crunch", 660, 335, group=5, since=FROM)]
    samples = [niced(pid, second) for pid in (70, 71, 72) for second in range(FROM, LENGTH)]
    assert findings(stored(tmp_path / "db", [*QUIET, *loops, *samples])) == ()


def test_a_crowd_that_gives_way_is_no_crowd(tmp_path):
    pids = range(100, 140)
    crowd = [event for pid in pids for event in used(pid, "crunch", 48, 950, group=5, since=FROM)]
    samples = [niced(pid, second) for pid in pids for second in range(FROM, LENGTH)]
    assert findings(stored(tmp_path / "db", [*QUIET, *crowd, *samples])) == ()


def test_loops_tied_to_one_cpu_are_short_of_it_while_the_other_idles(tmp_path):
    loops = [event for pid in (70, 71) for event in used(pid, "tied", 500, 500, since=FROM)]
    halves = times({0: 0.0, 1: 0.95}, since=FROM)
    [finding] = findings(stored(tmp_path / "db", [*halves, *used(10, "sshd", 1, 0.1), *loops]))
    assert (finding.fault, finding.culprit.name) == ("cpu_saturation", "tied")


def test_nobody_waits_for_a_cpu_that_idles(tmp_path):
    held = [event for pid in (70, 71) for event in used(pid, "held", 100, 900, since=FROM)]
    assert findings(stored(tmp_path / "db", [*times({0: 0.8, 1: 0.9}), *held])) == ()


def test_who_is_starved_is_no_loop(tmp_path):
    realtime = used(70, "rt", 950, 0, since=FROM)
    starved = used(12, "web", 50, 950, since=FROM)
    [finding] = findings(stored(tmp_path / "db", [*times({0: 0.0}), *realtime, *starved]))
    assert (finding.fault, finding.culprit.name, finding.victims[0].name) == ("cpu_saturation", "rt", "web")


def test_a_quota_below_one_that_is_tighter_is_to_blame(tmp_path):
    outer, inner = limited("/a", 1, 100_000), limited("/a/b", 2, 700_000)
    [finding] = findings(stored(tmp_path / "db", [*QUIET, *outer, *inner]))
    assert finding.culprit.id == "/a/b"
    outer, inner = limited("/a", 1, 700_000), limited("/a/b", 2, 100_000)
    culprits = {one.culprit.id for one in findings(stored(tmp_path / "db2", [*QUIET, *outer, *inner]))}
    assert "/a" in culprits


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


@pytest.mark.parametrize(("from_second", "healthy"), [(FROM, True), (LENGTH - 4, False)])
def test_a_burst_that_is_over_was_a_burst(tmp_path, from_second, healthy):
    jobs = [
        event
        for pid in (70, 71, 72, 73)
        for event in used(pid, "job", 500, 500, since=from_second)
        if event.timestamp < at(from_second + 4)
    ]
    assert (findings(stored(tmp_path / "db", [*QUIET, *jobs])) == ()) is healthy


@pytest.mark.parametrize("seconds", [(START, START + FROM * SECOND), (START - 60 * SECOND, START - SECOND)])
def test_a_window_before_it_began_has_no_findings(tmp_path, seconds):
    hogs = used(70, "crunch", 990, 900, group=5, since=FROM)
    path = stored(tmp_path / "db", [*cpus(1), *used(12, "web", 100, 1), *hogs])
    assert not diagnose(path, *seconds).findings


def test_the_same_window_has_the_same_answer(tmp_path):
    hogs = [event for pid in (70, 71, 72) for event in used(pid, "crunch", 600, 300, group=5, since=FROM)]
    path = stored(tmp_path / "db", [*QUIET, *hogs, *used(12, "web", 100, 400, since=FROM)])
    assert diagnose(path, START, END) == diagnose(path, START, END)


def test_a_thread_that_is_said_to_have_waited_for_longer_than_the_time_between_two_readings_has_not(tmp_path):
    absurd = SchedProcess(
        at(FROM), pid=70, comm="sh", cpu_time_ms=0.1, runqueue_ms=90_000.0, active_threads=1, cgroup_id=1
    )
    busy = [*cpus(2), *used(10, "web", 900, 150), *used(11, "db", 900, 150)]
    assert diagnose(stored(tmp_path / "db", [*busy, absurd]), START, END).findings == ()


def test_threads_of_the_kernel_that_have_one_parent_are_no_crowd(tmp_path):
    kernel = [row for pid in range(20, 40) for row in used(pid, f"kth{pid}", 2, 700)]
    parents = [Process(START, pid=pid, ppid=2, comm=f"kth{pid}", start_ticks=pid) for pid in range(20, 40)]
    crowd = [row for pid in range(50, 62) for row in used(pid, "app", 150, 800)]
    found = diagnose(stored(tmp_path / "db", [*cpus(2), *parents, *kernel, *crowd]), START, END)
    assert {one.culprit.name for one in found.findings} == {"app"}
