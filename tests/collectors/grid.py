"""Clocks and collectors that the tests of the runner share."""

from __future__ import annotations

import io
import select
import threading
from collections.abc import Callable, Iterable

from kernelsight.collectors.base import Host
from kernelsight.collectors.clock import Clock
from kernelsight.collectors.runner import run
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event
from kernelsight.events.scheduler import Load
from kernelsight.events.wire import decoder

S = 1_000_000_000
EPOCH = 1_800_000_000 * S
BOOT = 12_345 * S + 678


class HandClock:
    """A clock that only waiting, and who holds it, moves on. Waiting ends at once where something can be read."""

    def __init__(self) -> None:
        self.now = BOOT
        self.offset = EPOCH - BOOT
        self.asleep = 0
        self.overslept: Iterable[int] = ()
        self.waits = 0

    def monotonic_ns(self) -> int:
        return self.now

    def epoch_ns(self) -> int:
        return self.now + self.offset + self.asleep

    def boot_ns(self) -> int:
        return self.now + self.asleep

    def wait(self, poller: select.poll, timeout_ns: int) -> list[int]:
        self.waits += 1
        ready = [descriptor for descriptor, _ in poller.poll(0)]
        if ready:
            return ready
        self.now += timeout_ns + next(iter(self.overslept), 0)
        return []


class Loads:
    """Yields one event a run, after doing what the test says."""

    def __init__(self, work: Callable[[int], object] = lambda _: None) -> None:
        self.work = work
        self.closed = 0

    def collect(self, now: int) -> list[Event]:
        self.work(now)
        return [Load(now, load_1min=1.0)]

    def close(self) -> None:
        self.closed += 1


class Ran:
    """What a run left behind."""

    def __init__(self, code: int, output: bytes, log: str) -> None:
        self.code = code
        self.log = log.splitlines()
        self.events = decoder().decode_lines(output)
        self.reports = [event for event in self.events if isinstance(event, CollectorReport)]
        self.samples = [event for event in self.events if not isinstance(event, CollectorReport)]
        self.stamps = [event.timestamp for event in self.samples]

    def last_report(self, name: str) -> CollectorReport:
        return [report for report in self.reports if report.name == name][-1]


def run_to_file(
    tmp_path, names, *, duration_s, interval_s=1.0, clock: Clock | None = None, stop=None, options=None, max_cpu=None
) -> Ran:
    log = io.StringIO()
    with (tmp_path / "out").open("w+b") as out:
        code = run(
            names,
            Host(options=options or {}, max_cpu=max_cpu),
            interval_s=interval_s,
            duration_s=duration_s,
            out=out.fileno(),
            stop=stop or threading.Event(),
            log=log,
            clock=clock,
        )
        out.seek(0)
        return Ran(code, out.read(), log.getvalue())
