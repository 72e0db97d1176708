"""The switch of the kernel's delay accounting (Documentation/accounting/delay-accounting.rst)."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from kernelsight.collectors.files import read_once


class DelayAccounting:
    """The switch `kernel.task_delayacct`: without it only the delays of the scheduler are counted.

    Tasks have their other delays counted from the fork on, if the switch was on by then.
    """

    def __init__(self, proc: Path, *, enable: bool) -> None:
        """Look at the switch, and turn it on if asked to; :meth:`restore` puts it back."""
        self._file = proc / "sys/kernel/task_delayacct"
        self._switched = False
        self.since_tick: float = 0
        """Processes that started at this tick since boot or later have all delays."""
        self.reason = ""
        """Why delays are missing, and what to do."""
        said = read_once(self._file)
        if said is None or said.strip() != b"0":  # there is no switch before Linux 5.14: always on
            return
        self.since_tick = math.inf
        self.reason = "kernel.task_delayacct is 0: delays for block I/O, swap, reclaim and thrashing are not counted"
        if enable:
            self._switch_on()

    def _switch_on(self) -> None:
        try:
            self._file.write_text("1")
        except OSError as error:
            self.reason += f"; it cannot be set: {error.strerror}"
            return
        self._switched = True
        self.since_tick = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
        self.reason = (
            "kernel.task_delayacct was 0 until now: processes that already run have no delays except that of the CPU"
        )

    def restore(self) -> None:
        """Put the switch back if it was turned on here; calling it again does nothing."""
        if self._switched:
            self._switched = False
            self._file.write_text("0")
