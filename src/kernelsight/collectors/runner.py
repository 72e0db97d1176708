"""The runner: opens collectors, runs them on a fixed grid, and writes their events.

The grid is ``start + n * interval`` on CLOCK_MONOTONIC, so that the time a run takes, late wake-ups
and set clocks add up to no drift. A grid point that has passed by more than half an interval when
its turn comes is skipped and counted, because a sample must not carry the stamp of another time.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TextIO

from kernelsight import service_manager
from kernelsight.collectors import privileges
from kernelsight.collectors.base import Host, by_reason, current_name, registered
from kernelsight.collectors.clock import NS_PER_S, Clock, EpochTime, SystemClock
from kernelsight.collectors.damage import noted_in
from kernelsight.collectors.footprint import Usage
from kernelsight.collectors.governor import Governor
from kernelsight.collectors.numbering import Numbering
from kernelsight.collectors.output import LineWriter, ReaderGoneError
from kernelsight.collectors.running import RunningSource
from kernelsight.collectors.stopping import StopDescriptor
from kernelsight.collectors.time_namespace import offsets
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.declare import Event

_REST_NS = 5_000_000
"""Least time between two drains, so that a busy ring buffer is emptied in bulk and not event by event."""

_REPORT_NS = 10 * NS_PER_S
_SHORTEST_INTERVAL_S = 0.01


def default_names() -> list[str]:
    """The collectors that run when none is named."""
    return [name for name, entries in registered().items() if any(entry.default for entry in entries)]


def run(  # noqa: PLR0913 - what is run, where, how long, and the four ways out and in
    names: Sequence[str],
    host: Host,
    *,
    interval_s: float,
    duration_s: float | None,
    out: int,
    stop: threading.Event,
    log: TextIO,
    clock: Clock | None = None,
    drop_privileges: bool = False,
) -> int:
    """Run collectors until ``stop`` is set, the duration is over, or nobody reads.

    Args:
        names: collectors to run; none: all that run by default.
        host: the machine.
        interval_s: seconds between two grid points.
        duration_s: seconds to run: the grid points before start + duration; None: until stopped.
        out: descriptor to write NDJSON to; not closed.
        stop: set it (from a signal handler or another thread) to end within 100 ms.
        log: where to say what cannot run, and what failed.
        clock: the clocks; the system's when None.
        drop_privileges: give up, for good, what the collectors do not need once they are open.

    Returns:
        Exit status: 0, or 1 when none of the collectors can run here.

    Raises:
        UsageError: a name that no collector has, or an interval that is none.
        KernelSightError: the events cannot be written, such as to a full disk.
    """
    if not interval_s >= _SHORTEST_INTERVAL_S:
        raise UsageError(f"an interval of {interval_s} s: it must be at least {_SHORTEST_INTERVAL_S} s")
    governor = None if host.max_cpu is None else Governor(host.max_cpu, round(interval_s * NS_PER_S))
    sources = _named(names or default_names())
    runner = _Runner(sources, host, LineWriter(out, stop), stop, log, clock or SystemClock(), governor)
    try:
        runner.open(drop_privileges=drop_privileges)
        return runner.run(interval_s, duration_s)
    except ReaderGoneError:
        return 0
    finally:
        runner.close()


def _named(names: Sequence[str]) -> list[RunningSource]:
    known = registered()
    today = [current_name(name) for name in names]
    for name in today:
        if name not in known:
            raise UsageError(f"no collector is called {name!r}; `kernelsight collect --list` shows all")
    return [RunningSource(name) for name in dict.fromkeys(today)]


@dataclass(slots=True)
class _Runner:
    """The loop over the grid."""

    sources: list[RunningSource]
    host: Host
    writer: LineWriter
    stop: threading.Event
    log: TextIO
    clock: Clock
    governor: Governor | None
    usage: Usage = field(init=False, default_factory=Usage)
    epoch: EpochTime = field(init=False)
    numbering: Numbering = field(init=False, default_factory=Numbering)
    stopping: StopDescriptor = field(init=False)
    poller: select.poll = field(init=False, default_factory=select.poll)
    nothing: select.poll = field(init=False, default_factory=select.poll)
    speaking: dict[int, RunningSource] = field(init=False, default_factory=dict)
    moment: int = field(init=False)
    """The grid point that is being collected, or was last."""
    rest_until: int = 0
    unread: int = 0

    def __post_init__(self) -> None:
        self.epoch = EpochTime(self.clock)
        self.moment = self.clock.monotonic_ns()
        self.host = replace(self.host, monotonic_ns=lambda: self.moment)
        self.stopping = StopDescriptor(self.stop)
        self.poller.register(self.stopping.fileno(), select.POLLIN)

    def close(self) -> None:
        for source in self.sources:
            source.close()
        self.stopping.close()
        self.usage.close()

    def open(self, *, drop_privileges: bool) -> None:
        for source in self.sources:
            self._open(source)
        self._say_what_is_left_out()
        if drop_privileges:
            kept = {need for source in self.sources for need in source.needs}
            if self.host.options.get("enable_delayacct"):
                kept.add(privileges.Capability.CAP_SYS_ADMIN)  # to switch it back
            privileges.keep_only(kept)
        self.stopping.watch()  # only now: a thread that runs already would keep its privileges

    def run(self, interval_s: float, duration_s: float | None) -> int:
        start = self.clock.monotonic_ns()
        if all(source.collector is None for source in self.sources):
            self._report(start)
            self._say("no collector can run here")
            return 1
        end = None if duration_s is None else start + round(duration_s * NS_PER_S)
        self._run_grid(start, round(interval_s * NS_PER_S), end)
        self._finish()
        return 0

    def _run_grid(self, start: int, interval: int, end: int | None) -> None:
        point, next_report = 0, start
        while end is None or start + point * interval < end:
            moment = start + point * interval
            if not self._wait_until(moment):
                return
            service_manager.alive()
            past, late = divmod(self.clock.monotonic_ns() - moment, interval)
            skipped = past if late <= interval // 2 else past + 1
            if skipped:
                self._miss(skipped)
                point += skipped
                continue
            self._tick(moment, point)
            if moment >= next_report:
                next_report = moment + _REPORT_NS
                self._report(moment)
            point += 1
        self._wait_until(end)

    def _miss(self, points: int) -> None:
        for source in self.sources:
            if source.collector is not None:
                source.missed += points

    def _wait_until(self, moment: int) -> bool:
        """Wait, draining what speaks meanwhile; False when told to stop."""
        while not self.stop.is_set():
            now = self.clock.monotonic_ns()
            if now >= moment:
                return True
            rests = now < self.rest_until
            until = min(moment, self.rest_until) if rests else moment
            ready = self.clock.wait(self.nothing if rests else self.poller, until - now)
            if ready:
                self._follow_clock()
                self._write([self._drain(self.speaking[fd]) for fd in ready if fd in self.speaking])
                self.rest_until = self.clock.monotonic_ns() + _REST_NS
        return False

    def _follow_clock(self) -> None:
        """Measure the clocks; that one of them has jumped is said before anything is stamped with what it reads now."""
        self.epoch.refresh()
        jumps = self.epoch.take_jumps()
        if jumps:
            self._write([self.numbering.encode(jump.event() for jump in jumps)])

    def _tick(self, moment: int, point: int) -> None:
        self._follow_clock()
        self.moment = moment
        now = self.epoch.at(moment)
        lines: list[bytes] = []
        read: list[RunningSource] = []
        for number, source in enumerate(self.sources):
            if source.retry_at is not None and moment >= source.retry_at:
                self._open(source)
            due = source.pace.due(point + number)
            if due == "nothing":
                continue
            lines.append(self._drain(source))
            if source.collector is not None:
                source.runs += due == "sample"
                read.append(source)
                reading = source.collector.collect if due == "sample" else source.prepare
                lines.append(self._take(source, partial(reading, now), keep=due == "sample"))
        self._write(lines)
        if self.governor is not None:
            self.governor.look(self.clock.monotonic_ns(), time.process_time_ns(), self.sources, read)
            self._hear()

    def _drain(self, source: RunningSource) -> bytes:
        return b"" if source.speaker is None else self._take(source, partial(source.speaker.drain, self._of_kernel))

    def _of_kernel(self, ktime_ns: int) -> int:
        return self.epoch.at(ktime_ns + offsets().monotonic_ns)

    def _take(self, source: RunningSource, read: Callable[[], Iterable[Event]], *, keep: bool = True) -> bytes:
        """Read a collector and encode what it yields; what is not kept only prepares the next sample."""
        began, cpu_began = self.clock.monotonic_ns(), time.thread_time_ns()
        try:
            with noted_in(source.damage):
                taken = list(read())
                events = source.budget.admit(taken, began) if keep else []
            lines = self.numbering.encode(events)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one collector, the others go on
            self._fail(source, error)
            return b""
        source.events += len(events)
        source.cpu_ns += time.thread_time_ns() - cpu_began
        source.last_duration_ns = self.clock.monotonic_ns() - began
        source.memory_kb += self.usage.grown_kb()
        return lines

    def _fail(self, source: RunningSource, error: Exception) -> None:
        self._ignore(source)
        source.fail(error, self.clock.monotonic_ns())
        again_s = ((source.retry_at or 0) - source.failed_at) / NS_PER_S
        self._say(f"collector {source.name} failed: {source.reason}; again in {again_s:.0f} s")

    def _open(self, source: RunningSource) -> None:
        again, source.retry_at = source.retry_at is not None, None
        try:
            self.usage.grown_kb()
            source.open(self.host)
            source.memory_kb += self.usage.grown_kb()
        except UsageError:
            raise  # an option of the collector: whoever typed it should know
        except Exception as error:  # noqa: BLE001 - as in _take
            self._fail(source, error)
            return
        if source.collector is not None:
            self._listen(source)
        elif again:
            self._fail(source, SourceUnavailableError(source.reason))

    def _say_what_is_left_out(self) -> None:
        """One line, however many collectors cannot run: for a user without rights they are half of them."""
        closed = [source for source in self.sources if source.collector is None and source.retry_at is None]
        left_out = by_reason((source.name, source.reason or source.status) for source in closed)
        if left_out:
            parts = [f"{', '.join(names)}: {reason}" for reason, names in left_out.items()]
            self._say(f"cannot run: {' | '.join(parts)}")

    def _say(self, text: str) -> None:
        print(text, file=self.log, flush=True)

    def _listen(self, source: RunningSource) -> None:
        if source.fd >= 0:
            self.speaking[source.fd] = source
            self.poller.register(source.fd, select.POLLIN)

    def _hear(self) -> None:
        """Wait for those alone that sample each grid point: what others say stays where it is until they are read."""
        for source in self.sources:
            if source.pace.every > 1:
                self._ignore(source)
            elif source.fd not in self.speaking:
                self._listen(source)

    def _ignore(self, source: RunningSource) -> None:
        if self.speaking.pop(source.fd, None) is not None:
            self.poller.unregister(source.fd)

    def _report(self, moment: int) -> None:
        now = self.epoch.at(moment)
        cost = self.usage.footprint()
        reports = (source.report(now, self.numbering, cost, self.governor) for source in self.sources)
        self._write([self.numbering.encode([report]) for report in reports])

    def _finish(self) -> None:
        self._follow_clock()
        self._write([self._drain(source) for source in self.sources])
        self._report(self.clock.monotonic_ns())
        if self.unread:
            self._say(f"{self.unread} bytes of events were not read")

    def _write(self, lines: list[bytes]) -> None:
        self.unread += self.writer.write(b"".join(lines))
