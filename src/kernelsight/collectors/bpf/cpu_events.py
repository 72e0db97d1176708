"""Programs on the kernel's software perf events, on every CPU that is online."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.perf import SOFTWARE_TYPE, Opener, online_cpus, refusal


class Trigger(NamedTuple):
    """A program, and the software event (its number in include/uapi/linux/perf_event.h) that runs it.

    It runs each time the event has counted so many: faults, or nanoseconds of a clock.
    """

    program: str
    event: int
    period: int = 1


class CpuEvents:
    """Keeps programs attached to software events as CPUs come and go."""

    def __init__(self, loaded: Object, sys: Path) -> None:
        self._object = loaded
        self._sys = sys
        self._opener = Opener()
        self._links: dict[tuple[Trigger, int], str] = {}

    def follow(self, wanted: Collection[Trigger]) -> None:
        """Attach these, and no others, on the CPUs that are online now.

        Raises:
            SourceUnavailableError: perf events are not to be had here, or not by this user.
        """
        cpus = online_cpus(self._sys)
        places = {(trigger, cpu) for trigger in wanted for cpu in cpus}
        for place in self._links.keys() - places:
            self._object.detach(self._links.pop(place))
        for trigger, cpu in sorted(places - self._links.keys()):
            self._attach(trigger, cpu)

    def _attach(self, trigger: Trigger, cpu: int) -> None:
        try:
            fd = self._opener.open(SOFTWARE_TYPE, trigger.event, cpu, -1, period=trigger.period)
        except OSError as error:
            if error.errno == errno.ENODEV:  # the CPU went offline just now
                return
            raise refusal(error) from error
        try:
            self._links[trigger, cpu] = self._object.attach_perf_event(trigger.program, fd)
        except BaseException:
            os.close(fd)
            raise
