"""Waits for a CPU, for each other, and without end."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import closing

from observed import observe, within

from guest import PROGRAMS, check
from guest.groups import identity
from kernelsight.collectors.base import Host, Registered
from kernelsight.events.lock_wait import LockWait
from kernelsight.events.scheduler import BlockedTask, Sched, SchedProcess, Wait
from kernelsight.events.stack import Stack, StackSample
from kernelsight.linux.stacks import decoded

MS = 1_000_000


@check("scheduler")
def waits_for_a_cpu_and_children_are_seen(entry: Registered) -> None:
    observed = observe([entry.factory], PROGRAMS / "contend", 1, runqueue_threshold_ms=1)
    said = observed.one_said("queued")
    use = observed.of(SchedProcess, pid=said.pid)
    assert within(sum(one.runqueue_ms for one in use) * MS, said.ns, share=0.15), (said, use)
    waits = observed.of(Sched, pid=said.pid, comm="contend")  # before that it was a copy of this program
    assert within(sum(wait.latency_ns for wait in waits), said.ns, share=0.25), (said, waits)
    for wait in waits:
        assert (wait.tid, wait.cgroup_id) == (said.pid, identity()), wait
        assert wait.latency_ns >= MS, wait
    assert {wait.cpu for wait in waits[2:]} == {1}, waits  # to which it has gone by then

    observed = observe([entry.factory], PROGRAMS / "children")
    use = observed.of(SchedProcess, pid=observed.pid)
    seen = [sum(getattr(one, what) for one in use) for what in ("forks", "exits", "execs")]
    assert seen == [25, 25, 11], (seen, observed.lost, use)
    lived = sum(one.child_lifetime_ms for one in use) * MS
    least, most = observed.one_said("lived at least").ns, observed.one_said("lived at most").ns
    assert least <= lived <= most, (lived, observed.said)
    assert sum(one.voluntary_switches for one in use) >= 25, use
    assert observed.lost == 0


@check("wait")
def it_is_seen_who_waits_for_whom(entry: Registered) -> None:
    observed = observe([entry.factory], PROGRAMS / "waits", "mutex")
    said = observed.one_said("futex")
    edges = observed.of(Wait, pid=said.pid, waker_pid=said.pid, waits_in="futex", state="interruptible")
    assert within(total(edges), said.ns, share=0.15), (said, edges)
    assert {(edge.waker_context, edge.cgroup_id) for edge in edges} == {("task", identity())}, edges

    observed = observe([entry.factory], PROGRAMS / "waits", "pipe")
    said, child = observed.one_said("read"), observed.one_said("child")
    edges = observed.of(Wait, pid=said.pid, waker_pid=child.pid, waits_in="read")
    assert within(total(edges), said.ns, share=0.3), (said, edges)
    assert {(edge.comm, edge.waker_comm) for edge in edges} == {("waits", "waits")}, edges
    slept = observed.of(Wait, pid=child.pid, waits_in="clock_nanosleep")
    assert total(slept) > 250 * MS, slept
    # The timer's interrupt, which says that the count of nested contexts is found.
    assert {(edge.waker_pid, edge.waker_context) for edge in slept} == {(0, "hardirq")}, slept

    observed = observe([entry.factory], PROGRAMS / "waits", "child")
    said, child = observed.one_said("wait4"), observed.one_said("child")
    edges = observed.of(Wait, pid=said.pid, waker_pid=child.pid, waits_in="wait4")
    assert within(total(edges), said.ns, share=0.15, slack=30 * MS), (said, edges)
    assert observed.lost == 0


def total(edges: list[Wait]) -> int:
    """All the time that these waits took."""
    return sum(edge.wait_ns + edge.runqueue_ns for edge in edges)


@check("blocked_task")
def a_parent_that_waits_for_its_vfork_child_is_blocked(entry: Registered) -> None:
    found: list[BlockedTask] = []
    with (
        closing(entry.factory(Host())) as collector,
        subprocess.Popen([PROGRAMS / "blocked", "vfork"], stdout=subprocess.PIPE) as child,
    ):
        while child.poll() is None:
            found += [event for event in collector.collect(time.time_ns()) if event.pid == child.pid]
            time.sleep(0.1)
        said = json.loads(child.communicate()[0])
    assert found, said
    for event in found:
        assert 1000 <= event.blocked_ms <= said["ns"] / MS, (event, said)
        assert (event.tid, event.comm, event.syscall_name) == (child.pid, "blocked", "vfork"), event
        assert event.cgroup_id == identity(), event
    assert any("vfork" in event.stack or "clone" in event.stack for event in found), found
    assert all(event.wchan in event.stack.split(";") for event in found), found


@check("stacks")
def stacks_of_running_threads_are_seen(entry: Registered) -> None:
    observed = observe([entry.factory], PROGRAMS / "compute", 4, 0.7, stack_hz=49)
    said = observed.one_said("heavy").ns + observed.one_said("light").ns
    samples = observed.of(StackSample, pid=observed.pid)
    assert within(sum(sample.cpu_ns for sample in samples), said, share=0.4), (said, samples)
    stacks = {stack.stack_id: decoded(stack.frames) for stack in observed.of(Stack)}
    of_user = [stacks[sample.user_stack_id] for sample in samples if sample.user_stack_id is not None]
    files = {stack.files[stack.places[0][0]] for stack in of_user if stack.places[0][0] >= 0}
    assert any(file.path.endswith("/compute") and file.build_id for file in files), (files, samples)
    kernel = [name for stack in stacks.values() for name in stack.kernel]
    assert any("+0x" in name for name in kernel), observed.of(Stack)
    assert not any(name.startswith("0x") for name in kernel), kernel
    assert observed.lost == 0


@check("lock_waits")
def locks_are_seen_with_their_holders(entry: Registered) -> None:
    observed = observe([entry.factory], PROGRAMS / "lock_sites", 5)
    rows = observed.of(LockWait, pid=observed.pid)
    by_holder = [row for row in rows if row.holder_tid == observed.one_said("holder").ns]
    assert by_holder, (observed.said, observed.events)
    assert all((row.comm, row.cgroup_id) == ("lock_sites", identity()) for row in rows), rows
    assert max(row.waiters for row in by_holder) >= 2, by_holder
    stacks = {stack.stack_id: decoded(stack.frames) for stack in observed.of(Stack)}
    files = stacks[by_holder[0].waiter_stack_id].files
    assert any(file.path.endswith("/lock_sites") for file in files), files
