"""Switches the kernel's statistics of BPF programs on, for one second in thirty.

While they are on, the kernel reads its clock before and after every run of every BPF program. That takes as long as
the smaller of our programs themselves (docs/collectors.md, Cost), so it is not left on. Each time takes
CAP_SYS_ADMIN (BPF_ENABLE_STATS in bpf(2)), which `collect` gives up once its collectors are open. So a child that is
started before that does it: it keeps this one capability, reads nothing from anybody, and writes when the statistics
were on. It is killed with its parent.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from struct import Struct
from typing import NamedTuple

from kernelsight import parent_death
from kernelsight.collectors import privileges
from kernelsight.collectors.bpf import abi
from kernelsight.errors import SourceUnavailableError

ON_S = 1.0
FIRST_S = 5.0
"""After the start, when all programs run."""
REST_S = 29.0
_RUN_TIME = 0  # BPF_STATS_RUN_TIME
_STAMPS = Struct("=qq")


class Window(NamedTuple):
    """When the statistics were on, on CLOCK_MONOTONIC."""

    start_ns: int
    end_ns: int


class Statistics:
    """The child that switches them on, as its parent sees it."""

    def __init__(self, on_s: float = ON_S, first_s: float = FIRST_S, rest_s: float = REST_S) -> None:
        """Start it; call this while there is one thread.

        Raises:
            SourceUnavailableError: there is no libbpf, or this process may not switch them on.
        """
        if privileges.missing([privileges.Capability.CAP_SYS_ADMIN]):
            raise SourceUnavailableError("not permitted without CAP_SYS_ADMIN when it starts; run as root")
        abi.library()
        self._reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            try:
                _switch(parent, writing, (first_s, on_s, rest_s))
            finally:
                os._exit(1)
        os.close(writing)

    def take(self) -> Window | None:
        """The last time that they were on, if it was since the last call."""
        window = None
        with suppress(BlockingIOError):
            while len(data := os.read(self._reading, _STAMPS.size)) == _STAMPS.size:
                window = Window(*_STAMPS.unpack(data))
        return window

    def close(self) -> None:
        """End it; calling it again does nothing."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._reading)
        self._pid = 0


def _switch(parent: int, writing: int, seconds: tuple[float, float, float]) -> None:
    parent_death.follow(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is its parent's to hear
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    privileges.keep_only([privileges.Capability.CAP_SYS_ADMIN])
    os.closerange(0, writing)  # the pipe of events ends with its parent
    os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
    pause_s, on_s, rest_s = seconds
    while True:
        time.sleep(pause_s)
        pause_s = rest_s
        switch = abi.library().bpf_enable_stats(_RUN_TIME)
        if switch < 0:
            return
        start_ns = time.monotonic_ns()
        time.sleep(on_s)
        end_ns = time.monotonic_ns()
        os.close(switch)
        os.write(writing, _STAMPS.pack(start_ns, end_ns))
