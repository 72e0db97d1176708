"""Jobs that wait for their turn suffer from nothing; whoever has more to do than to wait does."""

from __future__ import annotations

import errno

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.lock import FileLockWait
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.scheduler import Wait
from kernelsight.events.syscalls import SyscallError

QUIET = [*cpus(2), *used(10, "sshd", 1, 0.1)]
HOLDER, CHILD, WAITERS = 40, 45, (50, 51, 52)


def lives(pid, parent, comm, *, cpu_ms=1, slept=1, read=7000, written=0, threads=1, sockets=0, grows=0):
    """A process that was started before the window."""
    for second in range(LENGTH):
        yield Process(
            START + second * SECOND + 5, pid=pid, ppid=parent, comm=comm, start_ticks=pid, threads=threads,
            utime_ms=cpu_ms + grows * second, stime_ms=0, voluntary_switches=slept + grows * second, read_chars=read,
            write_chars=written, sockets=sockets,
        )  # fmt: skip


def line(waiters=WAITERS, *, comm="flock", holder=HOLDER, holder_comm="flock"):
    for second in range(FROM, LENGTH):
        for pid in waiters:
            yield FileLockWait(
                START + second * SECOND + 9, pid=pid, comm=comm, holder_pid=holder, holder_comm=holder_comm,
                lock_type="flock", device_name="fe:00", inode=7,
            )  # fmt: skip


def jobs(comm="flock", **life):
    """One has its turn, with a job as its child, and the others wait."""
    yield from line(comm=comm, holder_comm=comm)
    yield from lives(HOLDER, 1, comm, **life)
    yield from lives(CHILD, HOLDER, "job", cpu_ms=9000)
    for pid in WAITERS:
        yield from lives(pid, pid - 20, comm, **life)


def diagnosis(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return found


@pytest.mark.parametrize("life", [{}, {"cpu_ms": 40, "slept": 20, "read": 900_000}], ids=["program", "script"])
@pytest.mark.parametrize("comm", ["flock", "python3", "anything"])
def test_jobs_that_wait_for_their_turn_are_no_contention(tmp_path, comm, life):
    assert diagnosis(stored(tmp_path / "db", [*QUIET, *jobs(comm, **life)])).findings == ()


def test_jobs_of_which_one_after_the_other_has_its_turn_are_no_contention_and_who_comes_back_is(tmp_path):
    rows = [e for pid in (HOLDER, *WAITERS) for e in lives(pid, pid - 20, "flock")]
    turns = [(HOLDER, 50), (50, 51), (51, 52)]
    for number, (holder, waiter) in enumerate(turns):
        queue = line(range(waiter, 53), holder=holder)
        rows += [e for e in lives(holder + 100, holder, "job") if e.timestamp > START + (FROM + 6 * number) * SECOND]
        rows += [e for e in queue if 6 * number <= (e.timestamp - START) / SECOND - FROM < 6 * (number + 1)]
    assert diagnosis(stored(tmp_path / "once", [*QUIET, *rows])).findings == ()
    again = [e for e in line((HOLDER, 50), holder=52) if e.timestamp > START + (FROM + 18) * SECOND]
    again += [e for e in line((HOLDER, 52), holder=50) if FROM + 12 < (e.timestamp - START) / SECOND < FROM + 18]
    assert diagnosis(stored(tmp_path / "again", [*QUIET, *rows, *again])).findings


def test_a_loop_that_comes_back_for_the_file_by_new_children_is_held_up(tmp_path):
    rows = [*lives(HOLDER, 1, "keeper", cpu_ms=900)]
    for number in range(6):
        for parent in (80, 81):
            pid = 1000 + 10 * number + parent
            wait = line((pid,), holder_comm="keeper")
            rows += [e for e in wait if 3 * number <= (e.timestamp - START) / SECOND - FROM < 3 * (number + 1)]
            rows += lives(pid, parent, "flock")
    [finding] = diagnosis(stored(tmp_path / "db", [*QUIET, *rows])).findings
    assert (finding.fault, finding.culprit.name) == ("lock_contention", "keeper")


def test_what_a_program_becomes_after_it_has_waited_is_a_job_too(tmp_path):
    waited = [event for event in line((HOLDER,), holder=39) if event.timestamp < START + (FROM + 2) * SECOND]
    rows = [*line(holder_comm="job"), *waited, *lives(HOLDER, 1, "job", cpu_ms=5000), *lives(39, 1, "flock")]
    rows += [*lives(46, 39, "job"), *(event for pid in WAITERS for event in lives(pid, pid - 20, "flock"))]
    assert diagnosis(stored(tmp_path / "db", [*QUIET, *rows])).findings == ()


def test_the_loops_of_a_job_that_has_its_turn_are_a_finding_and_no_effect_of_the_queue(tmp_path):
    hogs = [event for pid in (CHILD, 46, 47) for event in used(pid, "job", 660, 330, since=FROM)]
    queue = [*cpus(2), *jobs(), *lives(46, CHILD, "job"), *lives(47, CHILD, "job"), *hogs, *used(11, "db", 300, 700)]
    [finding] = diagnosis(stored(tmp_path / "db", queue)).findings
    assert (finding.fault, finding.culprit.name) == ("cpu_saturation", "job")


@pytest.mark.parametrize(
    "rows",
    [
        [e for pid in WAITERS for e in lives(pid, 1, "app", cpu_ms=3000, slept=900)],
        [e for pid in WAITERS for e in lives(pid, 1, "app", threads=8)],
        [e for pid in WAITERS for e in lives(pid, 1, "app", sockets=2)],
        [
            SocketOwner(START + s * SECOND + 5, pid=1000, comm="web", established=9) for s in range(LENGTH)
        ] + [e for pid in WAITERS for e in lives(pid, 1000, "app")],
        [],
    ],
    ids=["has worked", "has threads", "has sockets", "is asked by a server", "is not known"],
)  # fmt: skip
def test_whoever_has_more_to_do_than_to_wait_is_held_up(tmp_path, rows):
    keeper = [*line(comm="app", holder_comm="keeper"), *lives(HOLDER, 1, "keeper", cpu_ms=2000)]
    [finding] = diagnosis(stored(tmp_path / "db", [*QUIET, *keeper, *rows])).findings
    assert (finding.fault, finding.culprit.name) == ("lock_contention", "keeper")


def test_a_process_that_others_wait_for_is_no_job_in_a_queue(tmp_path):
    waits = [
        Wait(
            START + second * SECOND + 7, pid=60, comm="client", waker_pid=pid, waker_comm="flock", waits_in="read",
            state="interruptible", count=1, wait_ns=SECOND // 2, max_wait_ns=SECOND // 2,
        )
        for second in range(FROM, LENGTH)
        for pid in WAITERS
    ]  # fmt: skip
    assert diagnosis(stored(tmp_path / "db", [*QUIET, *jobs(), *waits])).findings


def asking(pid, times, comm="apt-get"):
    """Who is refused a lock so often in every second, and sleeps in between."""
    for second in range(FROM, LENGTH):
        at = START + second * SECOND + 4
        yield SyscallError(
            at, pid=pid, comm=comm, syscall_nr=72, syscall_name="fcntl", errno=errno.EAGAIN, error="EAGAIN", count=times
        )
        yield Wait(
            at, pid=pid, comm=comm, waker_pid=0, waits_in="clock_nanosleep", state="interruptible", count=times,
            wait_ns=int(0.95 * SECOND), max_wait_ns=SECOND // times,
        )  # fmt: skip


@pytest.mark.parametrize(("times", "healthy"), [(1, True), (20, False)])
def test_who_asks_once_a_second_and_does_nothing_else_waits_for_its_turn(tmp_path, times, healthy):
    rows = [event for pid in WAITERS for event in (*asking(pid, times), *lives(pid, 1, "apt-get", cpu_ms=700))]
    assert (diagnosis(stored(tmp_path / "db", [*QUIET, *rows])).findings == ()) == healthy
