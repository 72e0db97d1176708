"""Storms of switches and of new processes, and busy programs that only look like one."""

from __future__ import annotations

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess, Wait

QUIET = [*cpus(2), *used(10, "sshd", 1, 0.1)]


def switching(pid, comm, switches, ran_ms, *, since=FROM, group=5):
    """What a process switched and ran in every second."""
    for second in range(since, LENGTH):
        yield SchedProcess(
            START + second * SECOND + 7,
            pid=pid,
            comm=comm,
            context_switches=switches,
            voluntary_switches=switches,
            cpu_time_ms=ran_ms,
            runqueue_ms=1.0,
            cgroup_id=group,
        )


def woken(pid, waker, count, call, *, comm="pong", since=FROM):
    """Short waits of a process that another one ended, in every second."""
    for second in range(since, LENGTH):
        yield Wait(
            START + second * SECOND + 7,
            pid=pid,
            comm=comm,
            waker_pid=waker,
            waker_comm=comm,
            waker_context="task",
            waits_in=call,
            state="interruptible",
            count=count,
            wait_ns=SECOND // 2,
            runqueue_ns=0,
            max_wait_ns=100_000,
            cgroup_id=5,
        )


def forking(pid, comm, forks, *, life_ms, since=FROM, until=LENGTH, group=5):
    """Children that a process starts in every second, and that end in it."""
    for second in range(since, until):
        yield SchedProcess(
            START + second * SECOND + 7,
            pid=pid,
            comm=comm,
            cpu_time_ms=50.0,
            runqueue_ms=0.0,
            context_switches=forks,
            voluntary_switches=forks,
            forks=forks,
            execs=forks,
            exits=forks,
            child_lifetime_ms=forks * life_ms,
            cgroup_id=group,
        )


def sample(second, pid, ppid, comm):
    """A process, as /proc shows it."""
    return Process(
        START + second * SECOND + 3, pid=pid, ppid=ppid, comm=comm, start_ticks=pid, utime_ms=0, stime_ms=0,
        cgroup="/x", cgroup_id=5,
    )  # fmt: skip


def found(path, fault):
    diagnosis = diagnose(path, START, END)
    assert check(path, diagnosis) == []
    return [finding for finding in diagnosis.findings if finding.fault == fault]


def test_two_processes_that_hand_a_byte_to_and_fro_are_a_storm(tmp_path):
    pair = [*switching(70, "ping", 60_000, 300.0), *switching(71, "pong", 60_000, 300.0)]
    turns = [*woken(70, 71, 60_000, "read", comm="ping"), *woken(71, 70, 60_000, "read")]
    [finding] = found(stored(tmp_path / "db", [*QUIET, *pair, *turns]), "context_switch_storm")
    assert finding.culprit.name in {"ping", "pong"}
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= SECOND
    assert {evidence.metric for step in finding.path for evidence in step.evidence} == {"context_switches", "count"}


@pytest.mark.parametrize(("switches", "ran_ms"), [(12_000, 900.0), (2_000, 10.0)])
def test_a_server_that_works_between_switches_and_one_that_switches_little_are_none(tmp_path, switches, ran_ms):
    server = switching(70, "httpd", switches, ran_ms)
    assert found(stored(tmp_path / "db", [*QUIET, *server]), "context_switch_storm") == []


def test_threads_that_spin_and_give_their_cpu_away_are_a_storm_though_one_of_them_computes(tmp_path):
    app = switching(70, "app", 30_000, 1_000.0)
    yields = [
        Wait(
            START + second * SECOND + 7, pid=70, comm="app", waits_in="sched_yield", state="runnable", count=29_000,
            wait_ns=0, runqueue_ns=10 * SECOND, cgroup_id=5,
        )
        for second in range(FROM, LENGTH)
    ]  # fmt: skip
    [finding] = found(stored(tmp_path / "db", [*QUIET, *app, *yields]), "context_switch_storm")
    assert finding.culprit.name == "app"
    assert "sched_yield" in finding.path[1].claim


def test_turns_for_a_lock_of_one_process_are_no_storm(tmp_path):
    app = [*switching(70, "app", 60_000, 600.0), *woken(70, 70, 55_000, "futex", comm="app")]
    assert found(stored(tmp_path / "db", [*QUIET, *app]), "context_switch_storm") == []


def test_many_programs_that_switch_a_little_each_are_none(tmp_path):
    many = [e for pid in range(70, 90) for e in switching(pid, f"app{pid}", 2_000, 5.0, group=pid)]
    assert found(stored(tmp_path / "db", [*QUIET, *many]), "context_switch_storm") == []


def test_a_shell_loop_is_a_fork_storm(tmp_path):
    [finding] = found(stored(tmp_path / "db", [*QUIET, *forking(70, "sh", 800, life_ms=1)]), "fork_storm")
    assert (finding.culprit.id, finding.culprit.name) == ("70", "sh")
    assert [e.metric for step in finding.path for e in step.evidence] == ["forks", "exits", "child_lifetime_ms"]


def test_other_shells_that_started_each_other_have_no_part_in_the_loop_of_one(tmp_path):
    rows = [event for pid in (20, 21, 22) for event in forking(pid, "bash", 1, life_ms=2)]
    rows += forking(60, "bash", 300, life_ms=2)
    rows += [
        sample(second, pid, ppid, "bash")
        for second in range(LENGTH)
        for pid, ppid in ((20, 5), (21, 20), (22, 21), (60, 6))
    ]
    [finding] = found(stored(tmp_path / "db", rows), "fork_storm")
    assert finding.culprit.id == "60"


def test_a_program_that_fails_at_once_is_restarted_too_often(tmp_path):
    [finding] = found(stored(tmp_path / "db", [*QUIET, *forking(70, "watch", 50, life_ms=15)]), "fork_storm")
    assert finding.culprit.name == "watch"


def starting(pid, comm, threads, ran_ms):
    """Threads that a process starts in every second, and what it uses with all of them."""
    for second in range(FROM, LENGTH):
        yield SchedProcess(
            START + second * SECOND + 7, pid=pid, comm=comm, cpu_time_ms=ran_ms, runqueue_ms=0.0,
            context_switches=2 * threads, voluntary_switches=2 * threads, threads_started=threads, cgroup_id=5,
        )  # fmt: skip


def test_threads_that_end_as_soon_as_they_have_begun_are_a_storm_too(tmp_path):
    [finding] = found(stored(tmp_path / "db", [*QUIET, *starting(70, "poller", 20_000, 1100)]), "fork_storm")
    assert (finding.culprit.id, finding.culprit.name) == ("70", "poller")
    assert [e.metric for step in finding.path for e in step.evidence] == ["threads_started", "cpu_time_ms"]


@pytest.mark.parametrize(("threads", "ran_ms"), [(400, 60), (2500, 1900)])
def test_a_thread_for_each_request_and_threads_that_work_are_none(tmp_path, threads, ran_ms):
    assert found(stored(tmp_path / "db", [*QUIET, *starting(70, "api", threads, ran_ms)]), "fork_storm") == []


def test_a_compile_of_small_files_is_none(tmp_path):
    make = forking(70, "make", 50, life_ms=45)
    drivers = [
        event
        for second in range(FROM, LENGTH)
        for job in range(50)
        for event in forking(1000 + 50 * second + job, "gcc", 2, life_ms=15, since=second, until=second + 1)
    ]
    assert found(stored(tmp_path / "db", [*QUIET, *make, *drivers]), "fork_storm") == []


@pytest.mark.parametrize(("forks", "life_ms"), [(8, 5), (60, 400)])
def test_a_service_with_a_few_scripts_and_one_whose_children_work_are_none(tmp_path, forks, life_ms):
    service = forking(70, "service", forks, life_ms=life_ms)
    assert found(stored(tmp_path / "db", [*QUIET, *service]), "fork_storm") == []


def test_many_small_loops_of_others_make_no_storm_of_what_they_start(tmp_path):
    started = [
        event
        for second in range(FROM, LENGTH)
        for job in range(80)
        for event in forking(1000 + 80 * second + job, "flock", 1, life_ms=10, since=second, until=second + 1)
    ]
    assert found(stored(tmp_path / "db", [*QUIET, *started]), "fork_storm") == []


def test_where_children_have_children_the_first_of_them_is_to_blame(tmp_path):
    bombs = [e for pid in range(70, 120) for e in forking(pid, "bomb", 4, life_ms=5)]
    tree = [sample(second, pid, 70 if pid > 70 else 10, "bomb") for second in (12, 20) for pid in range(70, 120)]
    [finding] = found(stored(tmp_path / "db", [*QUIET, *bombs, *tree]), "fork_storm")
    assert finding.culprit.id == "70"


def test_without_tracers_the_parent_is_whose_children_are_always_new(tmp_path):
    machine = [
        Cpu(START + s * SECOND + 1, cpu=-1, user=1, system=1, idle=1, forks=max(0, s - FROM) * 700)
        for s in range(LENGTH)
    ]
    loop = [sample(s, 70, 10, "sh") for s in range(LENGTH)]
    children = [sample(s, 1000 + s, 70, "true") for s in range(FROM, LENGTH)]
    [finding] = found(stored(tmp_path / "db", [*machine, *loop, *children]), "fork_storm")
    assert (finding.culprit.id, finding.culprit.name) == ("70", "sh")
    few = [event for event in machine if event.timestamp < START + FROM * SECOND]
    assert found(stored(tmp_path / "few", [*few, *loop, *children]), "fork_storm") == []
