"""Slow system calls, with the breakdown of where their time went (bpf/syscalls.h)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.syscall_names import COMPAT, name_of
from kernelsight.collectors.bpf.threads import Feature, join
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.syscalls import Syscall

_SLOW_CALL = Struct("<5Q3q4Ii16s4x")  # struct slow_call


def parse_slow_calls(records: Iterable[bytes], to_epoch: Callable[[int], int]) -> Iterator[Syscall]:
    """Records of the ring buffer as events.

    What is left of the latency after the three ways of not running is the time on the CPU. The
    start of a call is where it first left the CPU; one that was found running by the timer tick
    has a start known to half a tick. The parts are measured by the scheduler's clock, which may
    make them microseconds longer than the whole: then they are the whole.
    """
    for record in records:
        (
            returned_at, latency, runqueue, blocked, sleep, arg0, cgroup, result,
            pid, tid, uid, cpu, call, comm,
        ) = _SLOW_CALL.unpack(record)  # fmt: skip
        off_cpu = runqueue + blocked + sleep
        latency = max(latency, off_cpu)
        yield Syscall(
            timestamp=to_epoch(returned_at),
            pid=pid,
            tid=tid,
            cpu=cpu,
            uid=uid,
            syscall_nr=call % COMPAT,
            syscall_name=name_of(call),
            latency_ns=latency,
            ret_value=result,
            is_error=-4096 < result < 0,
            arg0=arg0,
            comm=fixed_name(comm),
            on_cpu_ns=latency - off_cpu,
            runqueue_ns=runqueue,
            blocked_ns=blocked,
            sleep_ns=sleep,
            cgroup_id=cgroup,
        )


@collector("syscalls", source="bpf", emits=(Syscall,))
class Syscalls:
    """System calls slower than `threshold_ms` (10); with `include_waits` those that wait by design too."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.SLOW_CALLS, host)
        self._ring = self._threads.object.ring("slow_calls")
        self._losses = [self._threads.object.variable(name) for name in ("calls_lost", "threads_missed")]
        self._lost_at_start = self._lost()

    def fileno(self) -> int:
        """Readable when so many calls wait that they should not until the next second."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """The calls that returned since the last time."""
        return parse_slow_calls(self._ring.consume(), to_epoch)

    def collect(self, now: int) -> Iterable[Event]:  # noqa: ARG002
        """Nothing: calls come by themselves."""
        return ()

    @property
    def lost(self) -> int:
        """Calls that found the ring buffer full, and threads that could not be followed."""
        return self._lost() - self._lost_at_start

    def close(self) -> None:
        """Leave the hooks."""
        self._ring.close()
        self._threads.close()

    def _lost(self) -> int:
        return sum(loss.value for loss in self._losses)
