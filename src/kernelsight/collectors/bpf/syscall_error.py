"""System calls that fail for want of something (bpf/syscalls.h)."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.syscall_names import name_of, on_its_abi
from kernelsight.collectors.bpf.threads import Feature, join
from kernelsight.events.declare import Event
from kernelsight.events.syscalls import SyscallError

_UNKNOWN_DEVICE = 0xFFFFFFFF
_MINOR_BITS = 20  # of the kernel's own dev_t (include/linux/kdev_t.h)


def _numbered(device: int) -> str | None:
    """A device as mountinfo writes it."""
    if device == _UNKNOWN_DEVICE:
        return None
    return f"{device >> _MINOR_BITS}:{device & ((1 << _MINOR_BITS) - 1)}"


ERRORS = Columns(
    SyscallError,
    "error_key",
    "error_count",
    syscall_nr=made(on_its_abi, "call"),
    syscall_name=made(name_of, "call"),
    error=made(errno.errorcode.get, "errno"),
    device_number=made(_numbered, "device"),
)


@collector(formerly="syscall_errors", source="bpf", emits=(SyscallError,))
class SyscallErrors:
    """System calls that failed because something is used up, full or broken, per process and second."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.CALL_ERRORS, host)
        self._fill = ERRORS.of(self._threads.object.types)
        self._counts = self._threads.object.map("call_errors")
        self._lost = self._threads.object.variable("errors_lost")
        self._lost_at_start = self._lost.value

    def collect(self, now: int) -> Iterable[Event]:
        """The counts since the last time."""
        return self._fill(now, *self._counts.drain())

    def discard(self) -> None:
        """Throw away the counts since the last time."""
        self._counts.drain()

    @property
    def lost(self) -> int:
        """Failed calls that found the map full."""
        return self._lost.value - self._lost_at_start

    def close(self) -> None:
        """Leave the hooks."""
        self._threads.close()
