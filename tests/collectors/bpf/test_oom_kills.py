"""A kill for want of memory is seen once, with the figures that the kernel's log has of it."""

import os
import re
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from described import filler

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.oom_kill import KILLS, OomKills
from kernelsight.collectors.clock import EpochTime, SystemClock
from kernelsight.events.memory import OomKill

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
LIMIT = 48 << 20
NOBODY = 65534


@pytest.fixture
def group():
    """A control group with little memory, in another one; its directory and its path."""
    name = f"kernelsight-test-{os.getpid()}/inner group"
    if V1.is_dir():
        root, limits = V1, {"memory.limit_in_bytes": LIMIT, "memory.swappiness": 0}
    elif (V2 / "cgroup.controllers").is_file() and "memory" in (V2 / "cgroup.subtree_control").read_text():
        root, limits = V2, {"memory.max": LIMIT, "memory.swap.max": 0}
    else:
        pytest.skip("needs a control group with a limit for memory (v1 memory, or v2 with memory enabled at its root)")
    inner = root / name
    inner.parent.mkdir()
    try:
        if root == V2:
            (inner.parent / "cgroup.subtree_control").write_text("+memory")
        inner.mkdir()
        for file, limit in limits.items():
            (inner / file).write_text(str(limit))
        yield inner, f"/{name}"
    finally:
        for directory in (inner, inner.parent):
            with suppress(FileNotFoundError):
                directory.rmdir()


@pytest.fixture
def hungry(compile_c, group):
    """Starts programs in the group that take memory and keep it; they end with the test."""
    program = compile_c("hungry")
    started = []

    def start(megabytes, threads=1, user=0):
        # The shell enters the group and becomes the program.
        enter = f'echo 0 > "{group[0]}/cgroup.procs" && exec "$@"'
        command = ["sh", "-c", enter, "sh", program, str(megabytes), str(threads), str(user)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate(timeout=30)


def killed(collector, pid):
    """The events of a process that is waited for; those of other tests' processes are not ours."""
    events, deadline = [], time.monotonic() + 30
    epoch = EpochTime(SystemClock())
    while not events and time.monotonic() < deadline:
        events += [event for event in collector.drain(epoch.at) if event.pid == pid]
        time.sleep(0.02)
    time.sleep(0.1)  # whatever else would be said of it
    return events + [event for event in collector.drain(epoch.at) if event.pid == pid]


@pytest.fixture
def log():
    """The kernel's log from here on: its figures of the kill of a process, by the names that they have there."""
    file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(file, 0, os.SEEK_END)

    def of(pid):
        while True:  # until it is found, or there is no more: BlockingIOError
            line = os.read(file, 8192).decode(errors="replace")
            if f"Killed process {pid} " in line:
                return {name: int(value) for name, value in re.findall(r"([\w-]+):(-?\d+)", line)}

    yield of
    os.close(file)


@pytest.mark.root
def test_a_kill_in_a_control_group_has_the_figures_of_the_kernels_log(group, hungry, log):
    with closing(OomKills(Host())) as collector:
        began = time.time_ns()
        victim = hungry(200)
        assert victim.wait(timeout=30) == -9
        (event,) = killed(collector, victim.pid)
        assert collector.lost == 0
    assert began < event.timestamp < time.time_ns()
    logged = log(victim.pid)
    assert (event.pid, event.comm, event.cgroup) == (victim.pid, "hungry", group[1])
    assert (event.trigger_pid, event.trigger_comm) == (victim.pid, "hungry")
    assert event.anon_rss_kb > LIMIT / 1024 / 2
    ours = {
        "total-vm": event.total_vm_kb,
        "anon-rss": event.anon_rss_kb,
        "file-rss": event.file_rss_kb,
        "shmem-rss": event.shmem_rss_kb,
        "pgtables": event.page_tables_kb,
        "UID": event.uid,
        "oom_score_adj": event.oom_score_adj,
    }
    assert ours == {name: logged[name] for name in ours}


@pytest.mark.root
def test_the_one_who_is_killed_is_told_from_the_one_who_asked_for_more(hungry):
    with closing(OomKills(Host())) as collector:
        victim = hungry(32, user=NOBODY)
        assert victim.stdout.readline()
        Path(f"/proc/{victim.pid}/oom_score_adj").write_text("700")
        asking = hungry(30)
        assert victim.wait(timeout=30) == -9
        (event,) = killed(collector, victim.pid)
    assert (event.uid, event.oom_score_adj, event.trigger_pid) == (NOBODY, 700, asking.pid)


@pytest.mark.root
def test_a_process_of_many_threads_is_killed_once(hungry):
    with closing(OomKills(Host())) as collector:
        for _ in range(5):
            victim = hungry(400, threads=32)
            assert victim.wait(timeout=30) == -9
            assert len(killed(collector, victim.pid)) == 1


def test_of_a_victim_of_which_only_the_pid_is_known_the_rest_stays_empty():
    fill = filler(KILLS, "oom_kills")
    record = fill.layouts[0].pack(at=7, pid=42, trigger_pid=43, trigger_comm=b"asking", uid=3, total_vm=9)
    assert fill(lambda at: at, [record]) == [OomKill(7, pid=42, trigger_pid=43, trigger_comm="asking")]


def test_memory_and_the_group_of_a_victim_are_told_in_the_columns_units():
    fill = filler(KILLS, "oom_kills")
    names = b"inner".ljust(256, b"\0") + b"outer\0rest".ljust(256, b"\0") + b"not of it"
    record = fill.layouts[0].pack(
        at=7, pid=42, described=1, comm=b"victim", uid=1000, total_vm=5, anon=4, file=-3, shmem=2, depth=3, path=names,
        page_table_bytes=8192, oom_score_adj=-17, cgroup_id=2**64 - 2,
    )  # fmt: skip
    page_kb = os.sysconf("SC_PAGE_SIZE") // 1024
    assert fill(lambda at: at, [record]) == [
        OomKill(
            7, pid=42, comm="victim", uid=1000, total_vm_kb=5 * page_kb, anon_rss_kb=4 * page_kb, file_rss_kb=0,
            shmem_rss_kb=2 * page_kb, page_tables_kb=8, oom_score_adj=-17, trigger_pid=0, trigger_comm="",
            cgroup_id=-2, cgroup="/outer/inner",
        )
    ]  # fmt: skip
