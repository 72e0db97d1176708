"""Slow system calls, with the breakdown of where their time went (bpf/syscalls.h)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.syscall_names import name_of, on_its_abi
from kernelsight.collectors.bpf.threads import Feature, join
from kernelsight.events.declare import Event
from kernelsight.events.syscalls import Syscall

_PARTS = ("latency_ns", "runqueue_ns", "blocked_ns", "sleep_ns")


def _whole(latency: int, *off_cpu: int) -> int:
    """The latency. The scheduler's clock may make its parts microseconds longer than it: then they are the whole."""
    return max(latency, sum(off_cpu))


def _on_cpu(latency: int, *off_cpu: int) -> int:
    """What is left of the latency after the three ways of not running."""
    return max(latency - sum(off_cpu), 0)


def _is_error(value: int) -> bool:
    return -4096 < value < 0


# The start of a call is where it first left the CPU; one that was found running by the timer tick has a start known
# to half a tick.
SLOW_CALLS = Columns(
    Syscall,
    "slow_call",
    stamp="returned_at",
    syscall_nr=made(on_its_abi, "call"),
    syscall_name=made(name_of, "call"),
    latency_ns=made(_whole, *_PARTS),
    on_cpu_ns=made(_on_cpu, *_PARTS),
    is_error=made(_is_error, "ret_value"),
)


@collector(formerly="syscalls", source="bpf", emits=(Syscall,))
class Syscalls:
    """System calls slower than `threshold_ms` (10); with `include_waits` those that wait by design too."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.SLOW_CALLS, host)
        self._fill = SLOW_CALLS.of(self._threads.object.types)
        self._ring = self._threads.object.ring("slow_calls")
        self._losses = [self._threads.object.variable(name) for name in ("calls_lost", "threads_missed")]
        self._lost_at_start = self._lost()

    def fileno(self) -> int:
        """Readable when so many calls wait that they should not until the next second."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """The calls that returned since the last time."""
        return self._fill(to_epoch, self._ring.consume())

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
