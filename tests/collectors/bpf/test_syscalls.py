"""Slow system calls are found with their latency, and nothing else is."""

import os
import platform
import re
import sys
from pathlib import Path

import pytest
from described import filler
from observed import observe, within

from kernelsight.collectors.bpf.scheduler import Scheduler
from kernelsight.collectors.bpf.syscall import SLOW_CALLS, Syscalls
from kernelsight.collectors.bpf.syscall_error import ERRORS, SyscallErrors
from kernelsight.collectors.bpf.syscall_names import COMPAT, name_of, names, numbers_of
from kernelsight.events.syscalls import Syscall, SyscallError

MS = 1_000_000


@pytest.fixture(scope="module")
def program(compile_c):
    return compile_c("slow_calls")


@pytest.fixture
def observed(program, tmp_path):
    path = tmp_path / "file"
    path.touch()
    return observe([Syscalls, SyscallErrors, Scheduler], program, path, -1, include_waits=True, threshold_ms=1)


@pytest.mark.root
def test_latencies_agree_with_what_the_program_measured(observed):
    for what in ("flock", "read", "clock_nanosleep", "fsync"):
        said = observed.one_said(what)
        if said.ns < 2 * MS:
            assert what == "fsync", f"{what} took only {said.ns} ns"  # a disk may be that fast
            continue
        found = observed.of(Syscall, tid=said.tid, syscall_name=what)
        assert any(within(call.latency_ns, said.ns, share=0.02, slack=MS) for call in found), (what, found, said)
        assert all(observed.began_ns < call.timestamp < observed.ended_ns for call in found)
    assert observed.lost == 0


@pytest.mark.root
def test_the_parts_of_a_latency_are_the_whole_of_it(observed):
    calls = observed.of(Syscall, pid=observed.pid)
    assert calls
    for call in calls:
        assert call.on_cpu_ns + call.runqueue_ns + call.blocked_ns + call.sleep_ns == call.latency_ns
    (slept,) = observed.of(Syscall, pid=observed.pid, syscall_name="clock_nanosleep")
    assert within(slept.sleep_ns, 25 * MS, slack=MS)
    (flock,) = observed.of(Syscall, pid=observed.pid, syscall_name="flock")
    assert flock.sleep_ns > 0.9 * flock.latency_ns
    assert not flock.is_error
    assert flock.ret_value == 0
    assert flock.comm == "slow_calls"
    assert flock.uid == os.getuid()


@pytest.mark.root
def test_a_call_that_never_sleeps_is_found_by_the_tick(observed):
    said = observed.one_said("getrandom")
    assert said.ns > 30 * MS
    (call,) = observed.of(Syscall, pid=observed.pid, syscall_name="getrandom")
    assert within(call.latency_ns, said.ns, slack=10 * MS)  # its start is known to a tick (10 ms at HZ=100)
    assert call.on_cpu_ns > call.sleep_ns + call.blocked_ns


@pytest.mark.root
def test_quick_calls_are_not_taken_for_slow_ones(program, tmp_path):
    """Two copies share a CPU, so that they are preempted in calls, between calls and on the way out of calls."""
    path = tmp_path / "file"
    path.touch()
    cpu = max(os.sched_getaffinity(0))
    run_both = f"{program} {path} {cpu} & exec {program} {path} {cpu}"
    observed = observe([Syscalls], "sh", "-c", f"touch {path}; {run_both}")
    said = [line for line in observed.said if line.what == "getppid" and line.pid == observed.pid]
    calls = observed.of(Syscall, pid=observed.pid, syscall_name="getppid")
    assert len(calls) <= sum(line.ns for line in said)


@pytest.mark.root
def test_waits_by_design_are_not_slow_unless_asked_for(program, tmp_path):
    path = tmp_path / "file"
    path.touch()
    observed = observe([Syscalls], program, path, -1)
    names = {call.syscall_name for call in observed.of(Syscall, pid=observed.pid)}
    assert {"flock", "getrandom"} <= names
    assert not {"clock_nanosleep", "read"} & names


@pytest.mark.root
def test_the_threshold_is_the_one_asked_for(program, tmp_path):
    path = tmp_path / "file"
    path.touch()
    observed = observe([Syscalls], program, path, -1, include_waits=True, threshold_ms=33)
    calls = observed.of(Syscall, pid=observed.pid)
    assert "flock" in {call.syscall_name for call in calls}
    assert all(call.latency_ns >= 33 * MS for call in calls), calls
    if observed.one_said("clock_nanosleep").ns < 33 * MS:  # it asks for 25 ms, and a busy machine may wake it late
        assert "clock_nanosleep" not in {call.syscall_name for call in calls}


@pytest.mark.root
def test_failures_for_want_of_something_are_counted_exactly(compile_c, tmp_path):
    observed = observe([SyscallErrors], compile_c("errors"), tmp_path / "absent")
    counted = {}
    for failed in observed.of(SyscallError, pid=observed.pid):
        key = failed.syscall_name, failed.error
        counted[key] = counted.get(key, 0) + failed.count
    fork = next(name for name in ("clone", "fork", "clone3") if (name, "EAGAIN") in counted)
    assert counted == {("write", "ENOSPC"): 7, ("openat", "EMFILE"): 5, (fork, "EAGAIN"): 3}


ON_TWO_FULL_ONES = """
import errno, os, subprocess, sys
folder = sys.argv[1]
def fails(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    else:
        raise SystemExit(f"{what} did not fail")
for name, inodes in (("a", 9), ("b", 2)):
    place = f"{folder}/{name}"
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=16k,nr_inodes={inodes}", "none", place], check=True)
    file = os.open(f"{place}/file", os.O_CREAT | os.O_RDWR)
    os.write(file, bytes(16384))
    fails(os.write, file, b"more")
    with open(f"{folder}/number-{name}", "w") as told:
        device = os.stat(place).st_dev
        told.write(f"{os.major(device)}:{os.minor(device)}")
fails(os.copy_file_range, file, file, 100, 0, 16384)
fails(os.mkdir, f"{folder}/b/by-path")
there = os.open(f"{folder}/b", os.O_RDONLY)
for _ in range(3):
    fails(lambda: os.mkdir("plain", dir_fd=there))
os.chdir(f"{folder}/b")
for _ in range(2):
    fails(lambda: os.symlink("anything", "plain"))
fails(lambda: os.symlink("anything", "../b/by-path"))
"""


@pytest.mark.root
def test_a_failure_is_told_with_the_file_system_of_its_file_or_without_where_the_call_does_not_tell_it(tmp_path):
    command = ["unshare", "--mount", sys.executable, "-S", "-c", ON_TWO_FULL_ONES, tmp_path]
    observed = observe([SyscallErrors], *command)
    counted = {}
    for failed in observed.of(SyscallError, pid=observed.pid, error="ENOSPC"):
        key = failed.syscall_name, failed.device_number
        counted[key] = counted.get(key, 0) + failed.count
    a, b = ((tmp_path / f"number-{name}").read_text() for name in "ab")
    by_path = {("mkdir", None): 1, ("symlink", None): 1}
    told = {("write", a): 1, ("write", b): 1, ("copy_file_range", b): 1, ("mkdirat", b): 3, ("symlink", b): 2}
    assert counted == by_path | told


REFUSED = """
import fcntl, os, sys
mine, other = (os.open(sys.argv[1], os.O_RDWR) for _ in range(2))
fcntl.flock(mine, fcntl.LOCK_EX)
for _ in range(4):
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
"""


@pytest.mark.root
def test_a_lock_that_is_refused_is_counted(tmp_path):
    path = tmp_path / "file"
    path.touch()
    observed = observe([SyscallErrors], sys.executable, "-S", "-c", REFUSED, path)
    failed = observed.of(SyscallError, pid=observed.pid, syscall_name="flock", error="EAGAIN")
    assert sum(one.count for one in failed) == 4


def test_a_record_of_the_ring_buffer_is_read_field_by_field():
    fill = filler(SLOW_CALLS, "threads")
    record = fill.layouts[0].pack(
        returned_at=1_000, latency_ns=20 * MS, runqueue_ns=3 * MS, blocked_ns=4 * MS, sleep_ns=5 * MS,
        arg0=2**64 - 1, cgroup_id=7, ret_value=-110, pid=10, tid=11, uid=12, cpu=3, call=COMPAT + 511,
        comm=b"a\xff\0garbage after",
    )  # fmt: skip
    (call,) = fill(lambda stamp: stamp + 1_700_000_000_000_000_000, [record])
    assert call == Syscall(
        timestamp=1_700_000_000_000_001_000, pid=10, tid=11, cpu=3, uid=12, syscall_nr=511, syscall_name=None,
        latency_ns=20 * MS, ret_value=-110, is_error=True, arg0=-1, comm="a\\xff",
        on_cpu_ns=8 * MS, runqueue_ns=3 * MS, blocked_ns=4 * MS, sleep_ns=5 * MS, cgroup_id=7,
    )  # fmt: skip


def test_parts_that_are_longer_than_the_whole_are_the_whole():
    fill = filler(SLOW_CALLS, "threads")
    record = fill.layouts[0].pack(latency_ns=10, runqueue_ns=3, blocked_ns=4, sleep_ns=5)
    (call,) = fill(lambda _: 10**18, [record])
    assert (call.latency_ns, call.on_cpu_ns, call.is_error) == (12, 0, False)


def test_errors_have_names_and_the_device_of_their_file_where_it_is_known():
    fill = filler(ERRORS, "threads")
    key, value = fill.layouts
    keys = key.pack(pid=1, call=COMPAT + 4, errno=28, device=8 << 20 | 1) + key.pack(
        pid=2, call=1, errno=250, device=-1 & 0xFFFFFFFF
    )
    first, second = fill(10**18, keys, value.pack(count=3, comm=b"full", cgroup_id=2**64 - 1) + value.pack(count=1))
    assert (first.syscall_nr, first.error, first.count, first.device_number) == (4, "ENOSPC", 3, "8:1")
    assert (first.comm, first.cgroup_id) == ("full", -1)
    assert (second.syscall_name, second.errno, second.error, second.device_number) == (name_of(1), 250, None, None)


def test_names_are_those_of_the_architecture():
    assert (names("x86_64")[0], names("x86_64")[202], names("x86_64")[334], names("x86_64")[462]) == (
        "read", "futex", "rseq", "mseal",
    )  # fmt: skip
    assert (names("aarch64")[63], names("aarch64")[98], names("aarch64")[293]) == ("read", "futex", "rseq")
    assert names("riscv128") == {}
    assert name_of(100_000) is None


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the header is that of x86")
@pytest.mark.parametrize(("header", "first"), [("unistd_64.h", 0), ("unistd_32.h", COMPAT)])
def test_names_are_those_of_the_kernels_header(header, first):
    path = Path("/usr/include/x86_64-linux-gnu/asm") / header
    if not path.exists():
        pytest.skip("needs linux-libc-dev")
    told = dict(re.findall(r"#define __NR_(\w+) (\d+)", path.read_text()))
    assert len(told) > 300
    assert {name: name_of(first + int(number)) for name, number in told.items()} == {name: name for name in told}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
def test_numbers_are_found_by_name_and_absent_calls_are_left_out():
    assert numbers_of("read", "accept", "no_such_call") == {0, 43, COMPAT + 3}  # i386 has its own, and socketcall
    assert numbers_of("futex_waitv") == {449, COMPAT + 449}
