"""The wait-for graph: programs whose waits are known give the right edges with the right times."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from described import filler
from observed import observe, undisturbed, within

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.blocked_task import BlockedTasks
from kernelsight.collectors.bpf.scheduler import Scheduler
from kernelsight.collectors.bpf.wait import EDGE_NS, LARGEST_SHARE, WAITS, Waits, parse_edges, place, thin_mask
from kernelsight.events.scheduler import SchedProcess, Wait

MS = 1_000_000
BLKIO = Path("/sys/fs/cgroup/blkio")


@pytest.fixture(scope="module")
def program(compile_c):
    return compile_c("waits")


def total(edges):
    return sum(edge.wait_ns + edge.runqueue_ns for edge in edges)


@pytest.mark.root
def test_waiting_for_a_mutex_is_waiting_for_the_own_process(program):
    observed = observe([Waits], program, "mutex")
    said = observed.one_said("futex")
    edges = observed.of(Wait, pid=said.pid, waker_pid=said.pid, waits_in="futex", state="interruptible")
    assert within(total(edges), said.ns, share=0.05), (total(edges), said)
    assert {edge.waker_context for edge in edges} == {"task"}
    assert sum(edge.count for edge in edges) >= 90
    assert max(edge.max_wait_ns for edge in edges) <= 10 * MS


@pytest.mark.root
def test_a_lock_that_goes_from_thread_to_thread_is_told_from_work_that_is_handed_out(program):
    for scenario, least, most in (("crowd", 0.4, 1.0), ("work", 0.0, 0.1)):
        observed = observe([Waits], program, scenario)
        edges = observed.of(Wait, pid=observed.pid, waker_pid=observed.pid, waits_in="futex")
        waits, passed_on = sum(edge.count for edge in edges), sum(edge.passed_on for edge in edges)
        assert waits >= 0.7 * observed.one_said(scenario).ns
        assert least * waits <= passed_on <= most * waits, (scenario, waits, passed_on)
        asleep, passed_on = sum(edge.wait_ns for edge in edges), sum(edge.passed_on_ns for edge in edges)
        assert least / 2 * asleep <= passed_on <= most * asleep, (scenario, asleep, passed_on)


@pytest.mark.root
def test_waiting_for_an_answer_in_a_pipe_is_waiting_for_who_writes_it(program):
    observed = observe([Waits], program, "pipe")
    said, child = observed.one_said("read"), observed.one_said("child")
    edges = observed.of(Wait, pid=said.pid, waker_pid=child.pid, waits_in="read")
    assert within(total(edges), said.ns, share=0.05), (total(edges), said)
    assert {(edge.comm, edge.waker_comm, edge.state) for edge in edges} == {("waits", "waits", "interruptible")}
    # And the child waits for a timer, which nobody is to blame for.
    slept = observed.of(Wait, pid=child.pid, waits_in="clock_nanosleep")
    assert within(total(slept), 300 * MS, share=0.10)
    assert {edge.waker_pid for edge in slept} == {0}
    assert {edge.waker_context for edge in slept} == {"hardirq"}


@pytest.mark.root
def test_waiting_for_a_child_is_waiting_for_its_end(program):
    observed = observe([Waits], program, "child")
    said, child = observed.one_said("wait4"), observed.one_said("child")
    edges = observed.of(Wait, pid=said.pid, waker_pid=child.pid, waits_in="wait4")
    assert within(total(edges), said.ns, share=0.05), (total(edges), said)


@pytest.fixture
def slow_reader(program, tmp_path):
    """The command that reads a file on a device on which it may do 20 reads a second."""
    if not (BLKIO / "blkio.throttle.read_iops_device").exists():
        pytest.skip("needs the blkio controller of cgroup v1 to slow a device down")
    number = tmp_path.stat().st_dev
    whole = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not whole.exists():
        pytest.skip(f"{tmp_path} is not on a block device")
    if (whole / "partition").exists():
        number = os.makedev(*map(int, (whole.resolve().parent / "dev").read_text().split(":")))
    group = BLKIO / f"kernelsight-waits-{os.getpid()}"
    group.mkdir()
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096 * 32)
    os.sync()
    (group / "blkio.throttle.read_iops_device").write_text(f"{os.major(number)}:{os.minor(number)} 20\n")
    yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *undisturbed(), program, "device", path]
    group.rmdir()


@pytest.mark.root
def test_waiting_for_a_slow_device_is_uninterruptible_and_no_threads_fault(slow_reader):
    observed = observe([Waits], *slow_reader)
    said = observed.one_said("pread64")
    edges = observed.of(Wait, pid=said.pid, waits_in="pread64", state="uninterruptible")
    assert said.ns > 500 * MS
    assert within(total(edges), said.ns, share=0.05), (total(edges), said)
    assert said.pid not in {edge.waker_pid for edge in edges}


@pytest.mark.root
@pytest.mark.parametrize("mask", [0, 1, 7])
def test_thinned_waits_stand_for_all_also_where_two_take_turns(program, monkeypatch, mask):
    monkeypatch.setattr("kernelsight.collectors.bpf.wait.thin_mask", lambda *_: mask)
    observed = observe([Waits], program, "turns", max(os.sched_getaffinity(0)))
    said, child = observed.one_said("turns"), observed.one_said("child")
    for pid, waker in ((said.pid, child.pid), (child.pid, said.pid)):
        edges = observed.of(Wait, pid=pid, waker_pid=waker, waits_in="read")
        assert within(sum(edge.count for edge in edges), said.ns, share=0.05)


@pytest.mark.root
def test_running_queueing_and_waiting_are_all_that_threads_do(compile_c):
    cpu = max(os.sched_getaffinity(0))
    observed = observe([Waits, Scheduler], compile_c("threads"), cpu)
    ran = sum(use.cpu_time_ms * MS for use in observed.of(SchedProcess, pid=observed.pid))
    waited = total(observed.of(Wait, pid=observed.pid))
    assert ran > 0
    assert waited > 0
    assert within(ran + waited, observed.one_said("lived").ns, share=0.01), (ran, waited, observed.said)
    assert observed.lost == 0


@pytest.mark.root
def test_leaving_and_coming_back_works():
    for _ in range(2):
        waits = Waits(Host())
        waits.close()
        waits.close()


@pytest.mark.root
def test_what_threads_did_while_nobody_looked_is_not_counted():
    """The object stays loaded, with what it remembers of every thread, while the collector of waits is away."""
    naps = [sys.executable, "-c", "import time\nfor _ in range(200): time.sleep(0.02)"]
    host = Host()
    with closing(BlockedTasks(host)), subprocess.Popen(naps) as sleeper:
        try:
            for _ in range(2):
                began = time.monotonic_ns()
                with closing(Waits(host)) as waits:
                    seen, deadline = [], time.monotonic() + 30
                    while sum(edge.count for edge in seen) < 10 and time.monotonic() < deadline:
                        time.sleep(0.1)
                        seen += [edge for edge in waits.collect(0) if edge.pid == sleeper.pid]
                    assert sum(edge.count for edge in seen) >= 10
                    assert total(seen) <= time.monotonic_ns() - began
                time.sleep(0.7)
        finally:
            sleeper.kill()


def test_an_edge_without_a_waker_has_none():
    fill = filler(WAITS, "threads")
    key, value = fill.layouts
    edges = [(1, 2, -2, 2, 0, 1), (3, 0, -1, 0, 4, 1), (4, 0, -1, 1, 2, 1), (9, 9, 0, 1, 0, 0)]
    keys = b"".join(
        key.pack(pid=pid, waker=waker, waits_in=waits_in, state=state, waker_context=context)
        for pid, waker, waits_in, state, context, _ in edges
    )
    values = b"".join(
        value.pack(
            count=count,
            wait_ns=5,
            runqueue_ns=6,
            max_wait_ns=7,
            passed_on=9,
            passed_on_ns=4,
            cgroup_id=8,
            comm=b"me",
            waker_comm=b"it",
        )
        for *_, count in edges
    )
    first, second, third = parse_edges(fill, keys, values, now=10**18)
    assert (first.pid, first.comm, first.state) == (1, "me", "uninterruptible")
    assert (first.waker_pid, first.waker_comm, first.waker_context, first.waits_in) == (2, "it", "task", "page_fault")
    assert (first.wait_ns, first.runqueue_ns, first.max_wait_ns, first.passed_on, first.cgroup_id) == (5, 6, 7, 9, 8)
    assert first.passed_on_ns == 4
    assert (second.waker_pid, second.waker_comm, second.waker_context, second.state) == (None, None, None, "runnable")
    assert (third.waker_pid, third.waker_comm, third.waker_context) == (0, None, "hardirq")


def test_a_call_without_a_name_keeps_its_number():
    assert place(100_000 % 0x10000 + 0x10000) == f"compat_{100_000 % 0x10000}"
    assert place(5_000) == "syscall_5000"
    assert place(-1) is None


def test_waits_are_thinned_to_their_share_of_a_core_and_not_before():
    bearable = LARGEST_SHARE * 1e9 / EDGE_NS
    assert thin_mask(0) == 0
    assert thin_mask(bearable) == 0
    for times in (1.1, 3, 20, 900):
        mask = thin_mask(bearable * times)
        assert mask & (mask + 1) == 0  # one below a power of two
        assert (mask + 1) / 2 < times <= mask + 1
    assert thin_mask(1e15) == thin_mask(1e14)  # there is an end to it
