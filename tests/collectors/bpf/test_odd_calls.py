"""System calls that end in unusual ways are no false alarms, and time is put where it was spent."""

import errno
import os
import platform
import signal

import pytest
from observed import observe, within

from kernelsight.collectors.bpf.syscall import Syscalls
from kernelsight.events.syscalls import Syscall

MS = 1_000_000
# What the kernel returns to itself for a call that a signal interrupted (include/linux/errno.h).
ERESTARTSYS = 512
TICK_NS = 10 * MS  # at HZ=100, the slowest

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def program(compile_c):
    return compile_c("odd_calls")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.touch()
    return path


def test_a_call_that_a_signal_ended_is_an_error_after_as_long(program, path):
    observed = observe([Syscalls], program, path, "interrupted")
    (call,) = observed.of(Syscall, pid=observed.pid)
    assert (call.syscall_name, call.is_error) == ("flock", True)
    assert call.ret_value in (-errno.EINTR, -ERESTARTSYS)
    assert within(call.latency_ns, observed.one_said("flock").ns, slack=MS)
    assert within(call.sleep_ns, 30 * MS, slack=2 * MS)


def test_a_call_that_is_restarted_after_a_signal_is_two(program, path):
    observed = observe([Syscalls], program, path, "restarted")
    first, second = sorted(observed.of(Syscall, pid=observed.pid), key=lambda call: call.timestamp)
    assert {first.syscall_name, second.syscall_name} == {"flock"}
    assert (first.ret_value, second.ret_value) == (-ERESTARTSYS, 0)
    assert within(first.latency_ns + second.latency_ns, observed.one_said("flock").ns, slack=MS)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number is that of 32-bit x86")
def test_a_call_of_a_32_bit_program_is_named_by_its_own_table(program, path):
    observed = observe([Syscalls], program, path, "compat", check=False)
    if observed.returncode == -signal.SIGSEGV:
        pytest.skip("this kernel runs no 32-bit programs")
    (call,) = observed.of(Syscall, pid=observed.pid)
    assert (call.syscall_nr, call.syscall_name, call.ret_value) == (143, "flock", 0)
    assert within(call.latency_ns, observed.one_said("flock").ns, slack=MS)


@pytest.mark.parametrize("how", ["exit", "exec"])
def test_a_call_that_the_end_of_its_thread_cut_short_is_no_longer_than_it_lasted(program, path, how):
    observed = observe([Syscalls], program, path, how, include_waits=True)
    sleeps = observed.of(Syscall, pid=observed.pid, syscall_name="clock_nanosleep")
    # One ended by itself and made the other end, which would have slept for 5 s.
    assert sorted(call.is_error for call in sleeps) == [False, True]
    assert all(within(call.latency_ns, 30 * MS, slack=5 * MS) for call in sleeps)
    assert all(call.latency_ns < 100 * MS for call in observed.of(Syscall, pid=observed.pid))


def test_a_new_process_does_not_return_from_the_call_that_made_it(program, path):
    observed = observe([Syscalls], program, path, "newborn", include_waits=True)
    child = observed.one_said("child").pid
    assert observed.of(Syscall, pid=child) == []
    assert not {call.syscall_name for call in observed.of(Syscall, pid=observed.pid)} & {"clone", "fork", "clone3"}


def test_time_in_uninterruptible_sleep_is_blocked_time(program, path):
    observed = observe([Syscalls], program, path, "vfork")
    (call,) = observed.of(Syscall, pid=observed.pid)
    assert call.syscall_name in ("vfork", "clone")
    assert within(call.latency_ns, observed.one_said("vfork").ns, share=0.02, slack=MS)
    assert within(call.blocked_ns, 40 * MS, slack=2 * MS)
    assert call.sleep_ns == 0


@pytest.mark.parametrize("device", ["/dev/urandom", "/dev/zero"])
def test_a_read_that_computes_is_slow_although_reads_wait_by_design(program, device):
    observed = observe([Syscalls], program, device, "busy", threshold_ms=2)
    said, ran = observed.one_said("read"), observed.one_said("ran")
    found = [call for call in observed.of(Syscall, pid=observed.pid) if call.syscall_name == "read"]
    if said.ns < 2 * TICK_NS + 2 * MS:
        assert device == "/dev/zero"  # a fast machine fills memory in less than it takes to be seen
        return
    (call,) = found
    assert within(call.latency_ns, said.ns, slack=TICK_NS)
    assert within(call.on_cpu_ns, ran.ns, slack=TICK_NS)


def test_time_that_others_had_the_cpu_is_queue_time(program):
    cpu = max(os.sched_getaffinity(0))
    observed = observe([Syscalls], program, "/dev/urandom", "contended", cpu)
    said, ran = observed.one_said("read"), observed.one_said("ran")
    (call,) = [call for call in observed.of(Syscall, pid=observed.pid) if call.syscall_name == "read"]
    queued = said.ns - ran.ns
    assert queued > 0.3 * said.ns
    assert within(call.latency_ns, said.ns, slack=TICK_NS)
    assert within(call.runqueue_ns, queued, share=0.05, slack=TICK_NS)
    assert within(call.on_cpu_ns, ran.ns, share=0.05, slack=TICK_NS)
