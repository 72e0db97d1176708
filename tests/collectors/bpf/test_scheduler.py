"""Waits for a CPU, and every process's use of the scheduler."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from described import filler, types_of
from observed import observe, within

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.scheduler import QUEUE_WAITS, Folding, Scheduler
from kernelsight.events.scheduler import Sched, SchedProcess

MS = 1_000_000


@pytest.mark.root
def test_time_ready_but_not_running_is_found_as_such(compile_c):
    cpu = max(os.sched_getaffinity(0))
    observed = observe([Scheduler], compile_c("contend"), cpu, runqueue_threshold_ms=0.1)
    said = observed.one_said("queued")
    assert said.ns > 300 * MS
    queued = sum(use.runqueue_ms for use in observed.of(SchedProcess, pid=said.pid))
    # What an interrupt or the host of a virtual machine takes away is no wait for a CPU, and the program cannot tell.
    assert within(queued * MS, said.ns, share=0.10), (queued, said)
    waits = observed.of(Sched, pid=said.pid, comm="contend")  # it may have waited before it became that
    # Two that want one CPU take turns of milliseconds, so nearly all of it is in waits over a tenth of one.
    assert within(sum(wait.latency_ns for wait in waits), said.ns, share=0.15)
    for wait in waits:
        assert wait.latency_ns >= 0.1 * MS
        assert (wait.cpu, wait.tid, wait.next_pid) == (cpu, said.pid, said.pid)
        assert observed.began_ns < wait.timestamp < observed.ended_ns


@pytest.mark.root
def test_switches_and_time_agree_with_what_proc_says(compile_c, tmp_path):
    copied = tmp_path / "status"
    command = f"""{compile_c("contend")} {max(os.sched_getaffinity(0))} > /dev/null
        i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done
        sleep 0.05; cat /proc/$$/schedstat /proc/$$/status > {copied}; exit 0"""
    observed = observe([Scheduler], "sh", "-c", command)
    ran_ns, delay_ns = map(int, copied.read_text().split()[:2])
    switches = dict(line.split(":\t") for line in copied.read_text().splitlines() if "ctxt_switches" in line)
    use = observed.of(SchedProcess, pid=observed.pid)
    voluntary = sum(one.voluntary_switches for one in use)
    involuntary = sum(one.involuntary_switches for one in use)
    # What follows the copy is that the shell waits for `cat` to end, and ends. What the host of a virtual machine
    # takes away is in our time from switch to switch, and not in the kernel's.
    assert within(sum(one.cpu_time_ms for one in use) * MS, ran_ns, share=0.2, slack=10 * MS)
    assert delay_ns - MS <= sum(one.runqueue_ms for one in use) * MS <= 1.02 * delay_ns + 100 * MS
    # After the copy: the wait for `cat` to end, and the end itself.
    assert 0 <= voluntary - int(switches["voluntary_ctxt_switches"]) <= 3
    assert 0 <= involuntary - int(switches["nonvoluntary_ctxt_switches"]) <= 3
    assert sum(one.context_switches for one in use) == voluntary + involuntary


def run_delays():
    """Time that every process's main thread has been ready but not running, by the kernel's own account (ns)."""
    delays = {}
    for path in Path("/proc").glob("[0-9]*/schedstat"):
        try:
            delays[int(path.parent.name)] = int(path.read_text().split()[1])
        except OSError:
            continue  # it ended
    return delays


@pytest.mark.root
def test_no_thread_of_the_machine_is_said_to_have_waited_longer_than_the_kernel_says(compile_c):
    # New threads make the kernel wake others from inside the very storage that the tracer keeps for them.
    before = run_delays()
    observed = observe(
        [Scheduler], "sh", "-c", f"for i in 1 2 3 4 5 6; do {compile_c('children')} > {os.devnull}; done; sleep 2"
    )
    after = run_delays()
    waited = Counter()
    for wait in observed.of(Sched):
        if wait.tid == wait.pid:
            waited[wait.pid] += wait.latency_ns
    for pid, latency_ns in waited.items():
        if pid in before and pid in after:
            assert latency_ns <= 1.02 * (after[pid] - before[pid]) + MS


@pytest.mark.root
def test_children_are_counted_with_their_parent(compile_c):
    observed = observe([Scheduler], compile_c("children"))
    use = observed.of(SchedProcess, pid=observed.pid)
    assert sum(one.forks for one in use) == 25
    assert sum(one.exits for one in use) == 25
    assert sum(one.execs for one in use) == 10 + 1  # its children's and its own
    lived = sum(one.child_lifetime_ms for one in use)
    least, most = observed.one_said("lived at least").ns, observed.one_said("lived at most").ns
    assert least <= lived * MS <= most


THREADS = """
import threading
for _ in range(40):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
"""


@pytest.mark.root
def test_threads_are_counted_with_the_process_that_starts_them_and_are_no_children():
    observed = observe([Scheduler], sys.executable, "-S", "-c", THREADS)
    use = observed.of(SchedProcess, pid=observed.pid)
    assert (sum(one.threads_started for one in use), sum(one.forks for one in use)) == (40, 0)


@pytest.mark.root
def test_a_process_that_runs_all_the_time_is_seen_every_time(compile_c):
    spin = """printf '{"what": "spins", "pid": %d}\\n' $$; while :; do :; done"""
    observed = observe([Scheduler], "timeout", "1", "sh", "-c", spin, check=False)
    spinner = observed.one_said("spins").pid
    ran = sum(use.cpu_time_ms for use in observed.of(SchedProcess, pid=spinner))
    waited = sum(use.runqueue_ms for use in observed.of(SchedProcess, pid=spinner))
    lived = sum(use.child_lifetime_ms for use in observed.of(SchedProcess, pid=observed.pid))
    assert lived > 900
    assert within(ran + waited, lived, share=0.05), (ran, waited, lived)
    assert not Path(f"/proc/{spinner}").exists()


def test_threads_are_folded_into_their_process_together_with_those_that_ended():
    with types_of("threads") as types:
        folding = Folding(types)

    def scanned(pid, tid, *amounts, name=b"it"):
        usage = dict(zip(folding.scanned.nested("usage"), amounts, strict=True))
        return folding.scanned.pack(pid=pid, tid=tid, cgroup_id=77, comm=b"it", thread_comm=name, **usage)

    family = folding.family.pack(
        ended_cpu_ns=1_000, ended_delay_ns=2_000,
        ended_voluntary_switches=3, ended_involuntary_switches=4, ended_wakeups=5,
        forks=6, threads_started=16, execs=7, exits=8, lifetime_ns=9 * MS, cgroup_id=77, comm=b"it",
    )  # fmt: skip
    scan = (
        scanned(5, 5, 2 * MS, MS, 3, 1, 3)
        + scanned(5, 6, 4 * MS, 0, 1, 1, 1, name=b"GC Thread#0")
        + scanned(8, 8, 0, MS, 0, 0, 0)
    )
    first, second = folding.events(scan, [5], family, now=10**18)
    assert (first.pid, first.voluntary_switches, first.involuntary_switches, first.wakeups) == (5, 7, 6, 9)
    assert (first.forks, first.threads_started, first.execs, first.exits, first.child_lifetime_ms) == (6, 16, 7, 8, 9.0)
    assert first.cpu_time_ms == 6.001
    assert first.collector_cpu_ms == 4.0
    assert first.runqueue_ms == 1.002
    assert first.avg_timeslice_us == round(6001 / 13, 1)
    assert (first.active_threads, first.most_voluntary_switches, first.most_cpu_time_ms) == (2, 3, 4.0)
    assert second == SchedProcess(
        timestamp=10**18, pid=8, comm="it", context_switches=0, voluntary_switches=0, involuntary_switches=0,
        wakeups=0, cpu_time_ms=0.0, avg_timeslice_us=None, runqueue_ms=1.0, forks=0, threads_started=0, execs=0,
        exits=0, child_lifetime_ms=0.0, active_threads=1, most_voluntary_switches=0, most_cpu_time_ms=0.0,
        collector_cpu_ms=0.0, cgroup_id=77,
    )  # fmt: skip


CROWD = """
import threading
wall = threading.Barrier(1201)
def stay():
    wall.wait()
    threading.Event().wait()
threading.stack_size(1 << 16)
for _ in range(1200):
    threading.Thread(target=stay, daemon=True).start()
wall.wait()
print("ready", flush=True)
input()
"""


@pytest.mark.root
def test_more_threads_than_one_read_of_the_kernels_list_holds_lose_nothing():
    with closing(Scheduler(Host())) as scheduler:
        with subprocess.Popen(
            [sys.executable, "-c", CROWD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as crowd:
            try:
                assert crowd.stdout.readline() == "ready\n"
                switches = until_quiet(crowd.pid)
                used = [use for use in scheduler.collect(1) if use.pid == crowd.pid]
                assert until_quiet(crowd.pid) == switches
            finally:
                crowd.kill()
        assert sum(use.voluntary_switches for use in used) == switches
        # Of a loaded machine there may be more long waits than are taken meanwhile; they are not what is asked here.
        assert [scheduler._threads.object.variable(name).value for name in ("families_lost", "threads_missed")] == [
            0,
            0,
        ]


def until_quiet(pid):
    """The voluntary switches of all threads of a process, as soon as they stay the same for a moment."""
    deadline = time.monotonic() + 20
    before = None
    while time.monotonic() < deadline:
        now = sum(
            int(line.split()[1])
            for status in Path(f"/proc/{pid}/task").glob("*/status")
            for line in status.read_text().splitlines()
            if line.startswith("voluntary_ctxt_switches")
        )
        if now == before:
            return now
        before = now
        time.sleep(0.1)
    raise AssertionError("its threads do not come to rest")


def test_a_long_wait_is_that_of_the_thread_that_got_the_cpu():
    fill = filler(QUEUE_WAITS, "threads")
    (layout,) = fill.layouts
    record = layout.pack(
        ran_at=5, latency_ns=11 * MS, cgroup_id=2**64 - 3, pid=1, tid=2, cpu=3, prev_state=4, prev_pid=6,
        comm=b"waiter", prev_comm=b"before",
    )  # fmt: skip
    assert fill(lambda ran_at: 10**18 + ran_at, [record]) == [
        Sched(
            10**18 + 5, pid=1, tid=2, cpu=3, latency_ns=11 * MS, prev_state=4, next_pid=2, comm="waiter", prev_pid=6,
            prev_comm="before", cgroup_id=-3,
        )
    ]  # fmt: skip
