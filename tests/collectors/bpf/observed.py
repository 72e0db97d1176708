"""Runs a program while collectors watch, and gives back what both say."""

import json
import shutil
import subprocess
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from types import SimpleNamespace

from kernelsight.collectors.base import Host
from kernelsight.collectors.clock import EpochTime, SystemClock
from kernelsight.errors import SourceUnavailableError


@dataclass
class Observed:
    """What the program said of itself (`what, pid, tid, ns`) and the events of the collectors."""

    pid: int
    said: list[SimpleNamespace]
    events: list = field(default_factory=list)
    lost: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    returncode: int = 0

    def of(self, kind, **wanted):
        """The events of a kind with these values."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in wanted.items())
        ]

    def one_said(self, what):
        """The only thing that it said under this name."""
        (line,) = [line for line in self.said if line.what == what]
        return line


def cannot_run(make):
    """Why a collector cannot run here, to skip its tests by; empty where it can."""
    try:
        make(Host()).close()
    except SourceUnavailableError as error:
        return f"needs {make.__name__}: {error}"
    return ""


def observe(collectors, *command, check=True, **options):
    """Open collectors, run the command to its end while they are drained, and looked at every second as in use."""
    with ExitStack() as stack:
        host = Host(options=options)
        opened = [stack.enter_context(closing(make(host))) for make in collectors]
        began = time.time_ns()
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as program:
            events = []
            next_look, deadline = time.monotonic() + 1, time.monotonic() + 60
            while program.poll() is None and time.monotonic() < deadline:
                if time.monotonic() < next_look:
                    events += drained(opened)
                else:
                    events += take(opened)
                    next_look += 1
                time.sleep(0.05)
            program.kill()
            output = program.communicate()[0]
        events += take(opened)
        lost = sum(getattr(collector, "lost", 0) for collector in opened)
    if check:
        assert program.returncode == 0, (program.returncode, output)
    said = [SimpleNamespace(**json.loads(line)) for line in output.splitlines()]
    return Observed(program.pid, said, events, lost, began, time.time_ns(), program.returncode)


def take(opened):
    """What the collectors have by now."""
    events = drained(opened)
    for collector in opened:
        events += collector.collect(time.time_ns())
    return events


def drained(opened):
    """What waits in the rings of collectors that have one."""
    epoch = EpochTime(SystemClock())
    return [event for one in opened if hasattr(one, "drain") for event in one.drain(epoch.at)]


def undisturbed():
    """The prefix of a command that no ordinary task of a busy machine holds up; nothing where there is no chrt."""
    return ["chrt", "--fifo", "1"] if shutil.which("chrt") else []


def within(value, truth, *, share=0.0, slack=0.0):
    """Whether a value is the truth but for a share of it or an absolute slack, whichever is more."""
    return abs(value - truth) <= max(truth * share, slack)
