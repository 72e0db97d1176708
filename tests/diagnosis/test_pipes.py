"""A writer of a pipe that waits for its reader, who kept up before; pipelines and pagers are as they are meant."""

import pytest
from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.scheduler import SchedProcess, Wait

WRITER, READER, LATER = 80, 70, 12


def works(pid, comm, ms):
    for second in range(LENGTH):
        if ms(second):
            yield SchedProcess(
                START + second * SECOND + 7, pid=pid, comm=comm, cpu_time_ms=ms(second), runqueue_ms=1, cgroup_id=1,
                voluntary_switches=50, involuntary_switches=2,
            )  # fmt: skip


def waits(share):
    for second in range(LENGTH):
        if share(second):
            yield Wait(
                START + second * SECOND + 8, pid=WRITER, comm="writer", waker_pid=READER, waker_comm="reader",
                waker_context="task", waits_in="write", state="interruptible", count=20,
                wait_ns=int(share(second) * SECOND), runqueue_ns=0, max_wait_ns=SECOND // 20, cgroup_id=1,
            )  # fmt: skip


def full(since=LATER, *, at_terminal=None):
    for second in range(since + 1, LENGTH):
        yield PendingWait(
            START + second * SECOND + 9, pid=WRITER, comm="writer", waits_for="reader", peer_pid=READER,
            peer_comm="reader", transport="pipe", connections=1, waited_ms=1e3 * (second - since),
            shortest_ms=1e3 * (second - since), peer_waits_at_terminal=at_terminal,
        )  # fmt: skip


def named(tmp_path, *events):
    database = stored(tmp_path / "db", [*cpus(4), *(event for several in events for event in several)])
    found = diagnose(database, START, END)
    assert all(grounded(database, finding) for finding in found.findings)
    return [(one.fault, one.culprit.id) for one in found.findings]


def later(now, before):
    return lambda second: now if second >= LATER else before


def test_a_reader_that_computes_all_the_time_and_kept_up_before(tmp_path):
    events = works(WRITER, "writer", later(60, 300)), waits(later(0.9, 0.05))
    assert named(tmp_path, *events, works(READER, "reader", later(960, 200))) == [("thread_saturation", str(READER))]


def test_a_reader_that_has_stopped_reading_and_does_nothing(tmp_path):
    events = works(WRITER, "writer", later(0, 300)), works(READER, "reader", later(1, 200)), full()
    assert named(tmp_path, *events) == [("slow_dependency", str(READER))]


@pytest.mark.parametrize("ran_ms", [970, 3])
def test_in_a_pipeline_one_is_always_the_slowest(tmp_path, ran_ms):
    events = works(WRITER, "writer", lambda _: 60), waits(lambda _: 0.9), used(READER, "reader", ran_ms, 0)
    assert named(tmp_path, *events) == []


def test_a_pager_that_waits_for_its_user(tmp_path):
    events = works(WRITER, "writer", lambda second: 200 if second == LATER else 0), full()
    assert named(tmp_path, *events, works(READER, "reader", lambda _: 1)) == []


@pytest.mark.parametrize(("at_terminal", "found"), [(1, []), (0, [("slow_dependency", str(READER))])])
def test_a_reader_that_kept_up_and_now_waits_for_its_user_is_no_fault(tmp_path, at_terminal, found):
    events = works(WRITER, "writer", later(0, 300)), works(READER, "reader", later(1, 200))
    assert named(tmp_path, *events, full(at_terminal=at_terminal)) == found
