"""The wait-for graph has all waits, from both ends; processes are known from any row that names them."""

from collections.abc import Iterator

import pytest
from scenes import LENGTH, SECOND, START

from kernelsight.diagnosis.processes import ancestors, members, named, processes
from kernelsight.diagnosis.waiting import waiting
from kernelsight.diagnosis.window import Interval
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait

WHOLE = Interval(0, LENGTH)


def waits(
    pid: int, waker: int | None, waits_in: str | None, wait_ms: float, state: str = "interruptible"
) -> Iterator[Wait]:
    for second in range(LENGTH):
        yield Wait(
            START + second * SECOND + 7, pid=pid, comm=f"c{pid}", waker_pid=waker, waker_comm=waker and f"c{waker}",
            waits_in=waits_in, state=state, count=1, wait_ns=int(wait_ms * 1e6), runqueue_ns=1000,
        )  # fmt: skip


def test_a_wait_for_work_is_told_from_one_for_somebody_and_one_within_a_process(scene_of):
    for_work, own = waiting(scene_of(*waits(10, 20, "epoll_wait", 990), *waits(11, 11, "futex", 5000))).edges
    assert for_work.is_idle
    assert not for_work.is_own
    assert own.is_own
    assert own.waited_in(WHOLE) == pytest.approx(5 * LENGTH)
    assert own.mean_in(WHOLE) == pytest.approx(5)


def test_edges_are_found_from_both_ends(scene_of):
    graph = waiting(scene_of(*waits(10, 20, "read", 800), *waits(11, 20, "read", 100)))
    assert {edge.pid for edge in graph.by_waker[20]} == {10, 11}
    assert len(graph.by_waiter[10]) == 1


def test_a_process_that_only_woke_somebody_has_a_name(scene_of):
    assert named(scene_of(*waits(10, 20, "read", 800)), 20).name == "c20"
    assert named(scene_of(), 5).id == "5"


def test_parents_are_followed_up_to_init(scene_of):
    window = scene_of(
        Process(START, pid=10, ppid=1, comm="supervisor", start_ticks=1),
        Process(START, pid=20, ppid=10, comm="shell", start_ticks=2),
        Process(START, pid=30, ppid=20, comm="worker", start_ticks=3),
    )
    assert [one.comm for one in ancestors(window, 30)] == ["shell", "supervisor"]


def test_a_process_that_started_after_its_child_is_not_the_parent(scene_of):
    window = scene_of(
        Process(START, pid=10, ppid=1, comm="stranger", start_ticks=9),
        Process(START, pid=20, ppid=10, comm="worker", start_ticks=5),
        Process(START, pid=30, ppid=20, comm="child", start_ticks=6),
        Process(START, pid=40, ppid=10, comm="own", start_ticks=9),
        Process(START, pid=50, ppid=10, comm="undated"),
    )
    assert [ancestor.comm for ancestor in ancestors(window, 30)] == ["worker"]
    assert [ancestor.comm for ancestor in ancestors(window, 40)] == ["stranger"]
    assert [ancestor.comm for ancestor in ancestors(window, 50)] == ["stranger"]


def test_a_pid_that_was_used_again_is_the_last_process_that_had_it(scene_of):
    window = scene_of(
        Process(START, pid=10, ppid=1, comm="old", start_ticks=1),
        Process(START + SECOND, pid=10, ppid=1, comm="new", start_ticks=9),
    )
    assert [row.comm for row in processes(window)[10].samples] == ["new"]


def test_members_of_a_group_are_those_below_it_too_and_none_beside_it(scene_of):
    window = scene_of(
        Process(START, pid=10, ppid=1, comm="a", start_ticks=1, cgroup="/shop"),
        Process(START, pid=20, ppid=1, comm="b", start_ticks=1, cgroup="/shop/web"),
        Process(START, pid=30, ppid=1, comm="c", start_ticks=1, cgroup="/shopping"),
        Cgroup(START, cgroup="/shop", cgroup_id=7),
    )
    assert {one.pid for one in members(window, window.rows(Cgroup)[0])} == {10, 20}
