"""How processes end (bpf/process_exits.bpf.c)."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.threads import MS
from kernelsight.events.declare import Event
from kernelsight.events.process_exit import ProcessExit

_SIGNAL, _CORE = 0x7F, 0x80  # as wait(2) gives it


def status_of(code: int) -> int | None:
    """The status that a process ended with; None where a signal ended it."""
    return None if code & _SIGNAL else code >> 8 & 0xFF


def signal_of(code: int) -> int | None:
    """The signal that ended a process; None where it ended by itself."""
    return code & _SIGNAL or None


def _failed(code: int, count: int) -> int:
    return count if code & 0xFFFF else 0


EXITS = Columns(
    ProcessExit,
    "exit_key",
    "exit_count",
    exit_status=made(status_of, "code"),
    exit_signal=made(signal_of, "code"),
    dumped_core=made(lambda code: bool(code & _CORE) or None, "code"),
    executed=made(bool, "executed"),
    failed=made(_failed, "code", "count"),
    lifetime_ms=made(lambda ns: ns / MS, "lifetime_ns"),
)


@collector(source="bpf", emits=(ProcessExit,))
class ProcessExits:
    """Processes that ended, with their status or signal, by parent and name."""

    def __init__(self, host: Host) -> None:  # noqa: ARG002
        self._object = Object(image("process_exits"), "process_exits")
        try:
            self._object.attach("on_process_exit")
        except BaseException:
            self._object.close()
            raise
        self._fill = EXITS.of(self._object.types)
        self._exits = self._object.map("exits")
        self._lost = self._object.variable("exits_lost")

    def collect(self, now: int) -> Iterable[Event]:
        """The ends since the last time."""
        return self._fill(now, *self._exits.drain())

    def discard(self) -> None:
        """Throw away the ends since the last time."""
        self._exits.drain()

    @property
    def lost(self) -> int:
        """Processes that found the map full."""
        return self._lost.value

    def close(self) -> None:
        """Detach the program."""
        self._object.close()
