"""Slow system calls, and those that fail."""

from __future__ import annotations

from collections import Counter

from observed import observe, within

from guest import PROGRAMS, check
from guest.groups import identity
from kernelsight.collectors.base import Registered
from kernelsight.events.syscalls import Syscall, SyscallError

MS = 1_000_000
SLACK_NS = {"flock": 20 * MS, "read": 20 * MS, "clock_nanosleep": 20 * MS, "fsync": 60 * MS, "getrandom": 60 * MS}
"""The start of a call that does not sleep is known to half a tick, which comes late when the other CPU has its turn."""


@check("syscall")
def slow_calls_are_seen_with_their_latency(entry: Registered) -> None:
    observed = observe([entry.factory], PROGRAMS / "slow_calls", "/data/file", -1, include_waits=True, threshold_ms=1)
    for what, slack_ns in SLACK_NS.items():
        said = observed.one_said(what)
        if said.ns < 20 * MS:  # a disk may be that fast, and for as long the other CPU may have its turn around a call
            assert what == "fsync", said
            continue
        found = observed.of(Syscall, tid=said.tid, syscall_name=what)
        assert any(within(call.latency_ns, said.ns, share=0.1, slack=slack_ns) for call in found), (what, said, found)
    calls = observed.of(Syscall, pid=observed.pid)
    for call in calls:
        assert call.on_cpu_ns + call.runqueue_ns + call.blocked_ns + call.sleep_ns == call.latency_ns, call
        assert (call.comm, call.uid, call.cgroup_id, call.is_error) == ("slow_calls", 0, identity(), False), call
        assert observed.began_ns < call.timestamp < observed.ended_ns, call
    (flock,) = (call for call in calls if call.syscall_name == "flock")
    assert flock.sleep_ns > 0.5 * flock.latency_ns, flock
    (random,) = (call for call in calls if call.syscall_name == "getrandom")
    assert random.on_cpu_ns > random.sleep_ns + random.blocked_ns, random
    assert observed.lost == 0


@check("syscall_error")
def failed_calls_are_counted_exactly(entry: Registered) -> None:
    observed = observe([entry.factory], PROGRAMS / "errors", "/absent")
    failed = observed.of(SyscallError, pid=observed.pid)
    counted: Counter[tuple[str | None, str | None]] = Counter()
    for one in failed:
        fork = one.error == "EAGAIN" and one.syscall_name in {"fork", "clone", "clone3"}
        counted["fork" if fork else one.syscall_name, one.error] += one.count
    assert counted == {("write", "ENOSPC"): 7, ("openat", "EMFILE"): 5, ("fork", "EAGAIN"): 3}, failed
    assert {(one.comm, one.cgroup_id) for one in failed} == {("errors", identity())}, failed
