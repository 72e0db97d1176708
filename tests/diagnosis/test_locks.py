"""Who stands in line for a lock, and who only waits for work."""

from __future__ import annotations

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.lock import FileLockWait
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.events.syscalls import SyscallError

MS = 1_000_000
QUIET = [*cpus(2), *used(10, "sshd", 1, 0.1)]


def threads(pid, comm, *, ran_ms, count, sleeps, most, most_ms=None, since=FROM, group=5):
    """A process with several threads: how often they slept together, and the one that did so most."""
    for second in range(since, LENGTH):
        yield SchedProcess(
            START + second * SECOND + 7,
            pid=pid,
            comm=comm,
            cpu_time_ms=ran_ms,
            runqueue_ms=0.0,
            context_switches=sleeps,
            voluntary_switches=sleeps,
            active_threads=count,
            most_voluntary_switches=most,
            most_cpu_time_ms=most_ms,
            cgroup_id=group,
        )


def waits(
    pid,
    waker,
    call,
    waited_s,
    count,
    *,
    state="interruptible",
    comm="app",
    since=FROM,
    group=5,
    longest_ms=20,
    passed=None,
    passed_share=None,
):
    """What the threads of a process waited for together in every second."""
    for second in range(since, LENGTH):
        yield Wait(
            START + second * SECOND + 7,
            pid=pid,
            comm=comm,
            waker_pid=waker,
            waker_comm=comm if waker else None,
            waker_context="task" if waker else "hardirq",
            waits_in=call,
            state=state,
            count=count,
            wait_ns=int(waited_s * SECOND),
            runqueue_ns=0,
            max_wait_ns=longest_ms * MS,
            passed_on=passed,
            passed_on_ns=None if passed_share is None else int(passed_share * waited_s * SECOND),
            cgroup_id=group,
        )


def locked(pid, holder, *, comm="client", holder_comm="keeper", inode=7, seconds=range(FROM, LENGTH)):
    """A process that waits for a file in these samples."""
    for second in seconds:
        yield FileLockWait(
            START + second * SECOND + 9,
            pid=pid,
            comm=comm,
            holder_pid=holder,
            holder_comm=holder_comm,
            lock_type="flock",
            device_name="fe:00",
            inode=inode,
        )


def contention(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return [finding for finding in found.findings if finding.fault == "lock_contention"]


def test_threads_that_compute_under_one_mutex_stand_in_line(tmp_path):
    app = threads(70, "app", ran_ms=950, count=8, sleeps=2000, most=260)
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *app, *waits(70, 70, "futex", 6.5, 2000)]))
    assert (finding.culprit.id, finding.culprit.name) == ("70", "app")
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= SECOND
    assert [evidence.metric for step in finding.path for evidence in step.evidence] == [
        "wait_ns", "runqueue_ns", "count", "cpu_time_ms",
    ]  # fmt: skip


def test_an_emulated_machine_that_idles_passes_its_lock_on_all_the_time_and_waits_for_interrupts(tmp_path):
    machine = [*threads(70, "app", ran_ms=700, count=6, sleeps=1200, most=300), *waits(70, 0, "ppoll", 0.8, 90)]
    for name, share, found in (("emulated", 0.1, []), ("one lock", 0.9, ["70"])):
        waiting = waits(70, 70, "futex", 2.2, 1000, passed=400, passed_share=share)
        findings = contention(stored(tmp_path / name, [*QUIET, *machine, *waiting]))
        assert [finding.culprit.id for finding in findings] == found


def test_whoever_sleeps_with_the_lock_makes_the_others_wait_though_nothing_is_used(tmp_path):
    app = threads(70, "app", ran_ms=5, count=8, sleeps=200, most=26)
    waiting = [*waits(70, 70, "futex", 6.9, 100), *waits(70, 0, "clock_nanosleep", 0.97, 100)]
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *app, *waiting]))
    assert finding.culprit.name == "app"


def test_a_lock_that_looks_again_by_a_timer_is_one_while_somebody_computes(tmp_path):
    waiting = [*waits(70, 0, "futex", 6.0, 1500, longest_ms=5), *waits(70, 70, "futex", 0.5, 250)]
    computing = threads(70, "app", ran_ms=980, count=8, sleeps=1750, most=230)
    assert contention(stored(tmp_path / "computing", [*QUIET, *computing, *waiting]))
    idling = threads(70, "app", ran_ms=30, count=8, sleeps=1750, most=230)
    assert not contention(stored(tmp_path / "idling", [*QUIET, *idling, *waiting]))


def test_a_pool_that_a_loop_feeds_in_batches_is_no_line(tmp_path):
    pool = threads(70, "app", ran_ms=700, count=9, sleeps=440, most=50)
    waiting = [*waits(70, 70, "futex", 7.2, 400, passed=0), *waits(70, 9, "epoll_wait", 0.9, 40)]
    assert contention(stored(tmp_path / "db", [*QUIET, *pool, *waiting])) == []


def test_a_pool_whose_members_wake_each_other_and_that_idles_now_and_then_is_no_line(tmp_path):
    pool = threads(70, "app", ran_ms=600, count=13, sleeps=1300, most=110)
    waiting = [*waits(70, 70, "futex", 11.0, 1100, passed=0), *waits(70, 0, "futex", 0.9, 100, passed=0)]
    assert contention(stored(tmp_path / "db", [*QUIET, *pool, *waiting])) == []


def test_one_busy_thread_beside_a_pool_that_it_seldom_needs_is_no_line(tmp_path):
    loop = threads(70, "app", ran_ms=990, count=5, sleeps=400, most=100, most_ms=900)
    waiting = waits(70, 70, "futex", 3.8, 400, passed=0)
    assert contention(stored(tmp_path / "db", [*QUIET, *loop, *waiting])) == []


@pytest.mark.parametrize("ran_ms", [40, 900])
def test_threads_that_wait_for_work_from_one_of_them_are_a_pool(tmp_path, ran_ms):
    pool = threads(70, "app", ran_ms=ran_ms, count=9, sleeps=400, most=200)
    waiting = [*waits(70, 70, "futex", 7.8, 200), *waits(70, 0, "clock_nanosleep", 0.9, 200)]
    assert contention(stored(tmp_path / "db", [*QUIET, *pool, *waiting])) == []


def test_a_pool_whose_idle_member_waits_for_work_from_outside_is_no_line(tmp_path):
    pool = threads(70, "app", ran_ms=40, count=8, sleeps=200, most=26)
    waiting = [*waits(70, 70, "futex", 6.5, 100), *waits(70, 9, "read", 0.9, 100)]
    assert contention(stored(tmp_path / "db", [*QUIET, *pool, *waiting])) == []


def test_threads_that_are_woken_once_in_a_while_are_no_line(tmp_path):
    pool = threads(70, "app", ran_ms=900, count=8, sleeps=4, most=1)
    waiting = waits(70, 70, "futex", 7.0, 2, longest_ms=4000)
    assert contention(stored(tmp_path / "db", [*QUIET, *pool, *waiting])) == []


def test_most_threads_at_work_are_held_up_by_no_lock(tmp_path):
    app = threads(70, "app", ran_ms=3900, count=6, sleeps=2000, most=340)
    busy = [*cpus(4), *app, *waits(70, 70, "futex", 1.5, 2000)]
    assert contention(stored(tmp_path / "db", busy)) == []


def test_a_worker_that_has_the_pools_lock_while_it_waits_for_work_holds_up_nobody(tmp_path):
    pids = range(70, 76)
    pool = [e for pid in pids for e in threads(pid, "app", ran_ms=5, count=1, sleeps=40, most=40)]
    line = [e for pid in pids for e in waits(pid, 70 + (pid + 1) % 6, "futex", 0.8, 20, passed=20)]
    reading = [e for pid in pids for e in waits(pid, 9, "read", 0.16, 20)]
    assert contention(stored(tmp_path / "db", [*QUIET, *pool, *line, *reading])) == []


def test_threads_parked_on_words_of_their_own_stand_in_line_too(tmp_path):
    app = threads(70, "app", ran_ms=950, count=8, sleeps=2000, most=260)
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *app, *waits(70, 70, "futex", 6.5, 2000, passed=0)]))
    assert finding.culprit.name == "app"


def test_who_passes_a_lock_on_need_not_be_like_the_others(tmp_path):
    app = threads(70, "app", ran_ms=950, count=4, sleeps=400, most=190)
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *app, *waits(70, 70, "futex", 2.6, 300, passed=280)]))
    assert finding.culprit.name == "app"


def test_processes_that_share_a_mutex_are_one_line(tmp_path):
    pids = range(70, 76)
    apps = [e for pid in pids for e in threads(pid, "app", ran_ms=160, count=1, sleeps=100, most=100)]
    waiting = [e for pid in pids for e in waits(pid, 70 + (pid + 1) % 6, "futex", 0.83, 100)]
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *apps, *waiting]))
    assert finding.culprit.name == "app"
    assert len(finding.victims) == 5


def test_processes_that_come_and_go_and_never_let_each_other_go_on_share_no_lock(tmp_path):
    one_by_one = [
        event
        for second in range(FROM, LENGTH)
        for event in [
            *threads(100 + second, "cc", ran_ms=900, count=5, sleeps=100, most=30, since=second),
            *waits(100 + second, 100 + second, "futex", 3.0, 100, passed=6, comm="cc", since=second),
        ]
        if event.timestamp < START + (second + 1) * SECOND
    ]
    assert contention(stored(tmp_path / "db", [*QUIET, *one_by_one])) == []


def test_a_lock_of_the_kernel_is_one_too(tmp_path):
    pids = range(70, 76)
    apps = [e for pid in pids for e in threads(pid, "app", ran_ms=160, count=1, sleeps=900, most=900)]
    waiting = [e for pid in pids for e in waits(pid, 70 + (pid + 1) % 6, "rename", 0.8, 900, state="uninterruptible")]
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *apps, *waiting]))
    assert "the kernel" in finding.path[0].claim


def test_a_parent_that_waits_until_its_child_runs_waits_for_no_lock(tmp_path):
    shell = threads(70, "app", ran_ms=600, count=1, sleeps=900, most=900)
    waiting = waits(70, 70, "vfork", 1.2, 900, state="uninterruptible")
    assert contention(stored(tmp_path / "db", [*QUIET, *shell, *waiting])) == []


def served(servers, asked_s, *, client="web"):
    """A client for each server, that waits for it in every second, and which the server waits for."""
    for pid in servers:
        yield from waits(pid + 20, pid, "recvfrom", asked_s, 20, comm=client)
        yield from waits(pid, pid + 20, "epoll_wait", 0.02, 20)


def test_servers_with_a_lock_between_them_wait_for_each_other_while_clients_wait_for_them(tmp_path):
    servers = range(70, 75)
    apps = [e for pid in servers for e in threads(pid, "app", ran_ms=5, count=1, sleeps=40, most=40)]
    line = [e for pid in servers for e in waits(pid, 70 + (pid + 1) % 5, "epoll_wait", 0.9, 10)]
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *apps, *line, *served(servers, 0.95)]))
    assert finding.culprit.name == "app"
    assert finding.victims[0].name == "web"


def test_one_server_that_keeps_the_lock_for_its_client_is_to_blame(tmp_path):
    servers = range(70, 75)
    apps = [e for pid in servers for e in threads(pid, "app", ran_ms=5, count=1, sleeps=40, most=40)]
    line = [e for pid in servers if pid != 70 for e in waits(pid, 70, "epoll_wait", 0.8, 1, longest_ms=900)]
    keeps = waits(70, 90, "epoll_wait", 0.9, 1, longest_ms=900)
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *apps, *line, *served(servers, 0.9), *keeps]))
    assert finding.culprit.id == "70"
    assert "waited 18" in finding.path[-1].claim


def test_nodes_that_hear_from_each_other_while_no_client_waits_are_idle(tmp_path):
    nodes = range(70, 75)
    apps = [e for pid in nodes for e in threads(pid, "app", ran_ms=20, count=1, sleeps=40, most=40)]
    talk = [e for pid in nodes for e in waits(pid, 70 + (pid + 1) % 5, "epoll_wait", 0.9, 10)]
    assert contention(stored(tmp_path / "db", [*QUIET, *apps, *talk, *served(nodes, 0.1)])) == []


def test_servers_that_ask_another_one_of_their_program_wait_for_no_lock(tmp_path):
    servers = range(70, 74)
    apps = [e for pid in [*servers, 80] for e in threads(pid, "app", ran_ms=20, count=1, sleeps=40, most=40)]
    asked = [e for pid in servers for e in [*waits(pid, 80, "epoll_wait", 0.9, 20), *waits(80, pid, "read", 0.05, 20)]]
    assert contention(stored(tmp_path / "db", [*QUIET, *apps, *asked, *served(servers, 0.95)])) == []


def refused(pid, count, *, comm="app", seconds=range(FROM, LENGTH)):
    """A process that is refused the lock of a file, so often in each second."""
    for second in seconds:
        yield SyscallError(
            START + second * SECOND + 11, pid=pid, comm=comm, syscall_name="fcntl", errno=11, error="EAGAIN",
            count=count, cgroup_id=5,
        )  # fmt: skip


def writers(tries, *, count=4):
    """Processes that sleep for most of the time, ten times a second, and are refused a lock so often meanwhile."""
    for pid in range(70, 70 + count):
        yield from threads(pid, "app", ran_ms=5, count=1, sleeps=10, most=10)
        yield from waits(pid, 0, "clock_nanosleep", 0.9, 10)
        yield from refused(pid, tries)


def test_processes_that_try_a_files_lock_again_and_again_keep_each_other_out(tmp_path):
    [finding] = contention(stored(tmp_path / "db", [*QUIET, *writers(9)]))
    assert finding.culprit.name == "app"
    assert len(finding.victims) == 4


def test_processes_that_sleep_by_themselves_and_seldom_meet_at_a_lock_are_kept_out_of_nothing(tmp_path):
    assert contention(stored(tmp_path / "db", [*QUIET, *writers(1)])) == []


def test_one_process_that_is_refused_a_lock_tells_nothing_of_who_has_it(tmp_path):
    assert contention(stored(tmp_path / "db", [*QUIET, *writers(10, count=1)])) == []


def test_who_keeps_a_file_locked_is_to_blame_and_not_those_who_wait(tmp_path):
    path = stored(tmp_path / "db", [*QUIET, *(e for pid in (80, 81, 82) for e in locked(pid, 70))])
    [finding] = contention(path)
    assert (finding.culprit.id, finding.culprit.name) == ("70", "keeper")
    assert {victim.id for victim in finding.victims} == {"80", "81", "82"}


def test_a_file_that_is_locked_for_a_moment_now_and_then_holds_up_nobody(tmp_path):
    now_and_then = locked(80, 70, seconds=range(FROM, LENGTH, 5))
    assert contention(stored(tmp_path / "db", [*QUIET, *now_and_then])) == []


def test_of_a_lock_whose_holder_is_not_known_nobody_is_accused(tmp_path):
    waiting = [e for pid in (80, 81) for e in locked(pid, 70, holder_comm=None)]
    assert contention(stored(tmp_path / "db", [*QUIET, *waiting])) == []


def test_a_single_long_wait_counts_in_the_seconds_in_which_it_lasted(tmp_path):
    end = [next(iter(waits(70, 70, "futex", 25.0, 1, since=LENGTH - 1, longest_ms=25_000)))]
    app = threads(70, "app", ran_ms=950, count=2, sleeps=10, most=5)
    assert contention(stored(tmp_path / "db", [*QUIET, *app, *end])) == []
