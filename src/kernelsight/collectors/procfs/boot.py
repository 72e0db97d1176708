"""When the machine was started, and with which kernel (proc_cmdline(5), clock_gettime(2))."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.files import read_once
from kernelsight.collectors.text import name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.boot import Boot

_EVERY_NS = 600 * NS_PER_S
_LONGEST = 512


@collector(source="procfs", emits=(Boot,))
class BootCollector:
    """When the machine was started, its kernel, and the kernel's command line; every 10 minutes."""

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        if self._said("sys/kernel/osrelease") is None:
            raise SourceUnavailableError(f"no {host.proc}/sys/kernel/osrelease: is it mounted?")

    def collect(self, now: int) -> Iterator[Boot]:
        """Say it, if it is time to."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        self._due = moment + _EVERY_NS
        boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        yield Boot(
            now, boot_ns, self._said("sys/kernel/osrelease"), self._said("sys/kernel/version"), self._said("cmdline")
        )

    def close(self) -> None:
        """Nothing is kept open."""

    def _said(self, path: str) -> str | None:
        said = read_once(self._proc / path)
        return None if said is None else " ".join(name(said.rstrip(b"\0")).split())[:_LONGEST]
