"""System calls that take long, or fail because a resource is used up.

The limits of time are those of human attention (Nielsen, Usability Engineering, 1993, chapter 5): after 0.1 s an
answer is no longer immediate, after 1 s the thought is interrupted.
"""

from __future__ import annotations

from kernelsight.events.syscalls import Syscall, SyscallError
from kernelsight.query.filters import Filter
from kernelsight.signals.model import COUNT, Harm, Measure, rule
from kernelsight.signals.registry import declare

_ATTENTION = "0.1 s is where a delay is noticed, 1 s where it interrupts (Nielsen 1993)"

declare(
    __name__,
    rule(
        "syscall_blocked",
        Syscall,
        Measure(of=(Syscall.blocked_ns,), scale=1e-6, unit="ms", function="max"),
        scope="program",
        by=(Syscall.comm, Syscall.syscall_name),
        # Who has started a child by vfork(2) waits for it to begin.
        where=(Filter(Syscall.syscall_name, "!=", ("vfork", "clone", "clone3", "fork")),),
        levels={"warning": 100},
        because=f"a thread in uninterruptible sleep waits for a device or for memory; {_ATTENTION}",
        healthy="a call that moves much data, such as sync(2), or a disk that must spin up: as long as the call",
        summary="{comm} ({pid}) was blocked for {amount} in one {syscall_name}",
    ),
    rule(
        "syscall_waited_for_cpu",
        Syscall,
        Measure(of=(Syscall.runqueue_ns,), scale=1e-6, unit="ms", function="max"),
        scope="program",
        by=(Syscall.comm, Syscall.syscall_name),
        levels={"warning": 100},
        because=f"the call was ready to go on and had no CPU; {_ATTENTION}",
        healthy="a thread of low priority on busy CPUs: as long as it runs",
        summary="a {syscall_name} of {comm} ({pid}) waited {amount} for a CPU",
    ),
    rule(
        "syscall_burns_cpu",
        Syscall,
        Measure(of=(Syscall.on_cpu_ns,), scale=1e-6, unit="ms", function="max"),
        scope="program",
        by=(Syscall.comm, Syscall.syscall_name),
        levels={"warning": 1000},
        because="the kernel itself works this long in one call: reclaim, a long list, a spinning "
        "lock. The kernel reports a CPU as stuck after 20 s "
        "(Documentation/admin-guide/lockup-watchdogs.rst). Loading a BPF program may "
        "take 0.2 s",
        healthy="a virtual CPU that runs its guest: as long as it does",
        summary="one {syscall_name} of {comm} ({pid}) ran for {amount} in the kernel",
    ),
    rule(
        "syscalls_fail",
        SyscallError,
        Measure(of=(SyscallError.count,), unit="calls/s"),
        scope="program",
        by=(SyscallError.comm, SyscallError.error),
        # EAGAIN, ENOMEM and EROFS are also what a program gets that only tries.
        where=(
            Filter(
                SyscallError.error, "=", ("ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "EIO")
            ),
            Filter(SyscallError.count, ">", 0),
        ),
        levels={"warning": 1, "critical": 100},
        because="each such call is one operation that did not happen (errno(3)); a program with a "
        "hundred a second keeps retrying",
        harm=Harm("failure", "a hundred calls a second fail"),
        healthy="a program that tries what it can do without: as long as it tries",
        summary="{value:,.0f} calls/s of {comm} ({pid}) fail with {error}, last in {syscall_name}",
    ),
    rule(
        "slow_calls_pile_up",
        Syscall,
        Measure(of=(COUNT,), unit="calls/s"),
        scope="program",
        by=(Syscall.comm, Syscall.syscall_name),
        where=(Filter(Syscall.blocked_ns, ">=", 10_000_000),),
        levels={"warning": 50},
        raise_after_s=2,
        because="each call was blocked for 10 ms or more: fifty a second take half of one thread's "
        "time, or come from many threads",
        healthy="a copy or a backup: as long as it lasts",
        summary="{value:,.0f} calls/s of {syscall_name} by {comm} ({pid}) are blocked for 10 ms or more",
    ),
)
