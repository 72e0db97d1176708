"""Processes from iter/task, against what /proc says of processes that are quiet."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from moments import Moments

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.process import CpuTimes, TasksCollector, split_time, state_letter
from kernelsight.collectors.procfs.process_text import parse_cgroup

NOW = 1_800_000_000_000_000_000
pytestmark = pytest.mark.root

# Threads that end and threads that stay, memory, files, I/O and time: then quiet.
BUSY_THEN_QUIET = """
import os, socket, sys, threading
def work():
    x = bytearray(3_000_000)
    for _ in range(200_000): pass
    with open(sys.argv[1], "wb") as f: f.write(x[:100_000]); f.flush(); os.fsync(f.fileno())
    with open(sys.argv[1], "rb") as f: f.read()
for _ in range(int(sys.argv[2])):
    t = threading.Thread(target=work); t.start(); t.join()
stop = threading.Event()
for _ in range(int(sys.argv[3])): threading.Thread(target=stop.wait, daemon=True).start()
files = [open("/dev/null") for _ in range(int(sys.argv[4]))]
sockets = [socket.socket() for _ in range(int(sys.argv[4]) // 3)]
work()
print("quiet", flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture(scope="module")
def tasks():
    collector = TasksCollector(Host())
    yield collector
    collector.close()


@pytest.fixture
def quiet(tmp_path):
    """Starts processes that have done something and then do nothing more."""
    started = []

    def start(ended=0, staying=0, files=0):
        command = [sys.executable, "-c", BUSY_THEN_QUIET, str(tmp_path / "file"), str(ended), str(staying), str(files)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout.readline() == b"quiet\n"
        deadline = time.monotonic() + 30
        while "S" not in Path(f"/proc/{child.pid}/stat").read_text().split()[2] and time.monotonic() < deadline:
            os.sched_yield()
        return child.pid

    yield start
    for child in started:
        child.communicate(timeout=30)


def fresh(collector, *pids):
    """The events of these processes; a new pass reports all that are unknown to it."""
    collector._selection.__init__()
    collector._sockets_due = 0
    return {event.pid: event for event in collector.collect(NOW) if event.pid in pids}


def proc_says(pid):
    """The same facts, each read where proc(5) has it."""
    proc = Path(f"/proc/{pid}")
    after = (proc / "stat").read_text().rpartition(") ")[2].split()
    stat = dict(enumerate(after, start=3))
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    io = dict(line.split(": ") for line in (proc / "io").read_text().splitlines())
    limits = next(line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max open files"))
    return {
        "pid": int(pid),
        "ppid": int(stat[4]),
        "uid": int(status["Uid"].split()[1]),
        "comm": (proc / "comm").read_text().rstrip("\n"),
        "state": stat[3],
        "threads": int(stat[20]),
        "nice": int(stat[19]),
        "start_ticks": int(stat[22]),
        "minor_faults": int(stat[10]),
        "major_faults": int(stat[12]),
        "rss_kb": int(status["VmRSS"].split()[0]),
        "anon_kb": int(status["RssAnon"].split()[0]),
        "swap_kb": int(status["VmSwap"].split()[0]),
        "vsize_kb": int(stat[23]) // 1024,
        "read_chars": int(io["rchar"]),
        "write_chars": int(io["wchar"]),
        "read_syscalls": int(io["syscr"]),
        "write_syscalls": int(io["syscw"]),
        "read_bytes": int(io["read_bytes"]),
        "write_bytes": int(io["write_bytes"]),
        "cancelled_write_bytes": int(io["cancelled_write_bytes"]),
        "fds": len(list((proc / "fd").iterdir())),
        "sockets": sum(str(path.readlink()).startswith("socket:") for path in (proc / "fd").iterdir()),
        "fd_limit": int(limits.split()[3]),
        "cgroup": parse_cgroup((proc / "cgroup").read_bytes()).path,
    }


@pytest.mark.parametrize("shape", [(0, 0, 0), (3, 0, 0), (0, 4, 5), (2, 3, 300)])
def test_a_quiet_process_is_what_proc_says(tasks, quiet, shape):
    pid = quiet(*shape)
    event = fresh(tasks, pid)[pid]
    expected = proc_says(pid)
    assert {name: getattr(event, name) for name in expected} == expected


def test_times_are_those_of_proc(tasks, quiet):
    pid = quiet(3, 2)
    event = fresh(tasks, pid)[pid]
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    user, system = int(stat[11]) * 10, int(stat[12]) * 10  # ticks of 10 ms
    # /proc never lets a part run backwards, so how the total divides depends on who read it before.
    assert user + system <= event.utime_ms + event.stime_ms + 2 <= user + system + 22
    assert abs(event.utime_ms - user) <= 20


def test_delays_and_switches_are_the_sums_over_its_threads(tasks, quiet):
    pid = quiet(0, 4)
    event = fresh(tasks, pid)[pid]
    delay = voluntary = involuntary = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        delay += int((thread / "schedstat").read_text().split()[1])
        status = dict(line.split(":\t", 1) for line in (thread / "status").read_text().splitlines() if ":\t" in line)
        voluntary += int(status["voluntary_ctxt_switches"])
        involuntary += int(status["nonvoluntary_ctxt_switches"])
    assert (event.cpu_delay_ns, event.voluntary_switches, event.involuntary_switches) == (delay, voluntary, involuntary)


def test_threads_that_ended_still_count(tasks, quiet):
    alone, with_ended = quiet(0), quiet(5)
    events = fresh(tasks, alone, with_ended)
    assert events[with_ended].threads == events[alone].threads == 1
    assert events[with_ended].read_chars >= events[alone].read_chars + 500_000
    assert events[with_ended].voluntary_switches > events[alone].voluntary_switches


def pids_of_proc():
    """Without those that the kernel lets not even root look into; a hardened kernel iterates over none of them."""
    for path in Path("/proc").iterdir():
        with suppress(PermissionError, FileNotFoundError):
            if path.name.isdigit() and (path / "ns/pid").readlink():
                yield int(path.name)


def test_every_process_of_proc_is_there_once(tasks, quiet):
    pids = [quiet(0, n) for n in range(3)]
    tasks._selection.__init__()
    before = set(pids_of_proc())
    seen = [event.pid for event in tasks.collect(NOW)]
    after = set(pids_of_proc())
    assert len(seen) == len(set(seen))
    assert before & after <= set(seen)
    assert set(pids) <= set(seen)


def test_a_zombie_is_reported_as_one(tasks):
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child.pid}/stat").read_text().split()[2] != "Z" and time.monotonic() < deadline:
        os.sched_yield()
    event = fresh(tasks, child.pid)[child.pid]
    child.wait()
    assert event.state == "Z"
    assert event.fds is None


def test_kernel_threads_have_no_memory_rather_than_none_of_it(tasks):
    event = fresh(tasks, 2)[2]
    assert (event.comm, event.rss_kb) == ("kthreadd", None)
    assert event.state in "SDI"


@pytest.mark.parametrize("step_ns", [0, -(10**13), 10**13], ids=["not set", "set back", "set ahead"])
def test_sockets_are_counted_every_ten_seconds_and_are_no_movement(tasks, quiet, step_ns):
    pid = quiet(0, 0, 6)
    tasks._selection.__init__(largest=0, every_ns=10**18)
    tasks._sockets_due = 0
    tasks._monotonic_ns = moments = Moments()
    assert [event.sockets for event in tasks.collect(moments.at(NOW)) if event.pid == pid] == [2]
    moments.step_ns = step_ns
    assert pid not in {event.pid for event in tasks.collect(moments.at(NOW + 9_000_000_000))}
    assert pid not in {event.pid for event in tasks.collect(moments.at(NOW + 10_000_000_000))}
    tasks._selection.__init__()
    assert {event.sockets for event in tasks.collect(moments.at(NOW + 11_000_000_000))} == {None}
    tasks._selection.__init__()
    assert [event.sockets for event in tasks.collect(moments.at(NOW + 21_000_000_000)) if event.pid == pid] == [2]


def test_nothing_is_lost_and_everything_is_given_back(tasks):
    assert tasks.lost == 0
    fds = len(list(Path("/proc/self/fd").iterdir()))
    other = TasksCollector(Host())
    list(other.collect(NOW))
    other.close()
    other.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == fds


def test_delays_are_counted_from_the_moment_on_that_they_are_asked_for():
    switch = Path("/proc/sys/kernel/task_delayacct")
    if not switch.exists():
        pytest.skip("delay accounting has no switch in this kernel")
    before = switch.read_text()
    switch.write_text("0")
    try:
        plain = TasksCollector(Host())
        assert any("task_delayacct is 0" in reason for reason in plain.limitations)
        plain.close()
        collector = TasksCollector(Host(options={"enable_delayacct": True}))
        assert switch.read_text() == "1\n"
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as young:
            event = {event.pid: event for event in collector.collect(NOW)}[young.pid]
            young.communicate(b"\n")
        collector.close()
        assert event.blkio_delay_ns is not None
        assert switch.read_text() == "0\n"
    finally:
        switch.write_text(before)


@pytest.mark.parametrize(
    ("state", "exit_state", "letter"),
    [(0, 0, "R"), (1, 0, "S"), (2, 0, "D"), (4, 0, "T"), (8, 0, "t"), (0, 0x10, "X"), (0, 0x20, "Z"), (0x402, 0, "I")],
)
def test_state_letters(state, exit_state, letter):
    assert state_letter(state, exit_state) == letter


def test_time_is_divided_as_the_ticks_were():
    assert split_time(30, 10, 80) == (60, 20)
    assert split_time(0, 0, 5) == (5, 0)
    assert split_time(0, 7, 5) == (0, 5)


def test_neither_part_of_the_time_ever_falls():
    times = CpuTimes()
    ticks = [(820, 111), (821, 112), (821, 113), (822, 113), (830, 113)]
    parts = [times.split((1, 2), ticked, 9_000 + turn) for turn, ticked in enumerate(ticks)]
    assert all(before[0] <= after[0] and before[1] <= after[1] for before, after in pairwise(parts))
    assert [sum(part) for part in parts] == [9_000 + turn for turn in range(len(ticks))]
    assert times.split((3, 4), (1, 1), 10) == (5, 5)
