"""System calls that fail for want of something (bpf/syscalls.h)."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from struct import Struct

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.syscall_names import COMPAT, name_of
from kernelsight.collectors.bpf.threads import Feature, join
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.syscalls import SyscallError

_KEY = Struct("<IiII")  # struct error_key
_UNKNOWN_DEVICE = 0xFFFFFFFF
_MINOR_BITS = 20  # of the kernel's own dev_t (include/linux/kdev_t.h)
_COUNT = Struct("<Qq16s")  # struct error_count


def parse_errors(keys: bytes, values: bytes, now: int) -> Iterator[SyscallError]:
    """The drained map as events."""
    for (pid, call, code, device), (count, cgroup, comm) in zip(
        _KEY.iter_unpack(keys), _COUNT.iter_unpack(values), strict=True
    ):
        yield SyscallError(
            timestamp=now,
            pid=pid,
            comm=fixed_name(comm),
            syscall_nr=call % COMPAT,
            syscall_name=name_of(call),
            errno=code,
            error=errno.errorcode.get(code),
            count=count,
            cgroup_id=cgroup,
            device_number=_numbered(device),
        )


def _numbered(device: int) -> str | None:
    """A device as mountinfo writes it."""
    if device == _UNKNOWN_DEVICE:
        return None
    return f"{device >> _MINOR_BITS}:{device & ((1 << _MINOR_BITS) - 1)}"


@collector("syscall_errors", source="bpf", emits=(SyscallError,))
class SyscallErrors:
    """System calls that failed because something is used up, full or broken, per process and second."""

    def __init__(self, host: Host) -> None:
        self._threads = join(Feature.CALL_ERRORS, host)
        self._counts = self._threads.object.map("call_errors")
        self._lost = self._threads.object.variable("errors_lost")
        self._lost_at_start = self._lost.value

    def collect(self, now: int) -> Iterable[Event]:
        """The counts since the last time."""
        return parse_errors(*self._counts.drain(), now)

    @property
    def lost(self) -> int:
        """Failed calls that found the map full."""
        return self._lost.value - self._lost_at_start

    def close(self) -> None:
        """Leave the hooks."""
        self._threads.close()
