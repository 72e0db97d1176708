"""One collector as the runner sees it: open or not, when it is tried again, and its account."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from kernelsight.collectors import privileges
from kernelsight.collectors.base import Collector, Host, Limited, Registered, open_best, registered
from kernelsight.collectors.budget import RowBudget
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import Damage
from kernelsight.collectors.footprint import Footprint
from kernelsight.collectors.governor import Governor, Pace
from kernelsight.collectors.numbering import Numbering
from kernelsight.collectors.supervised import supervisor
from kernelsight.errors import KernelSightError, SourceUnavailableError
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Delta, Event, kind_of

_FIRST_BACKOFF_NS = NS_PER_S
_LONGEST_BACKOFF_NS = 60 * NS_PER_S


@runtime_checkable
class EventSource(Protocol):
    """What a collector has besides ``collect`` when its source speaks by itself, such as a BPF ring buffer."""

    def fileno(self) -> int:
        """A descriptor that poll(2) finds readable when there is something to drain (a ring buffer's epoll)."""

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """Take what is waiting, without blocking; called when readable, and before every grid point.

        Args:
            to_epoch: turns a stamp of ``bpf_ktime_get_ns`` into nanoseconds since the epoch.
        """


@runtime_checkable
class Lossy(Protocol):
    """What a collector has when its source can lose events."""

    @property
    def lost(self) -> int:
        """Events lost since it was opened."""


@runtime_checkable
class Discarding(Protocol):
    """What a collector of sums has when reading them is much cheaper than making rows of them."""

    def discard(self) -> None:
        """Throw away what has come together since the last reading, so that the next is of what comes from now on."""


@dataclass(slots=True)
class RunningSource:
    """One collector as the runner sees it: open or not, and its account."""

    name: str
    entry: Registered | None = None
    collector: Collector | None = None
    speaker: EventSource | None = None
    lossy: Lossy | None = None
    limited: Limited | None = None
    discarding: Discarding | None = None
    fd: int = -1
    status: Literal["running", "unavailable", "failed"] = "running"
    reason: str | None = None
    events: int = 0
    runs: int = 0
    failures: int = 0
    missed: int = 0
    lost_before: int = 0
    cpu_ns: int = 0
    last_duration_ns: int = 0
    backoff_ns: int = _FIRST_BACKOFF_NS
    failed_at: int = 0
    retry_at: int | None = None
    damage: Damage = field(default_factory=Damage)
    budget: RowBudget = field(default_factory=RowBudget)
    pace: Pace = field(default_factory=lambda: Pace(sums=False))
    memory_kb: int = 0

    def open(self, host: Host) -> None:
        """Open the best source that can run; when none can, keep the reason."""
        try:
            self.entry, self.collector = open_best(self.name, host)
        except SourceUnavailableError as error:
            self.status, self.reason = "unavailable", str(error)
            return
        self.status, self.reason = "running", None
        self.pace.sums = any(_has_sums(struct) for struct in self.entry.emits)
        if isinstance(self.collector, EventSource):
            self.speaker, self.fd = self.collector, self.collector.fileno()
        if isinstance(self.collector, Lossy):
            self.lossy = self.collector
        if isinstance(self.collector, Limited):
            self.limited = self.collector
        if isinstance(self.collector, Discarding):
            self.discarding = self.collector

    def close(self) -> None:
        """Close the collector, if it is open; its account stays."""
        self.lost_before = self.lost
        collector, self.collector = self.collector, None
        self.speaker, self.lossy, self.limited, self.discarding, self.fd = None, None, None, None, -1
        if collector is not None:
            collector.close()

    @property
    def lost(self) -> int:
        """Events lost in the kernel since the runner started."""
        return self.lost_before + (self.lossy.lost if self.lossy else 0)

    def prepare(self, now: int) -> Iterable[Event]:
        """Read it so that the next sample is of one second; what it yields is of no use."""
        if self.discarding is not None:
            self.discarding.discard()
            return ()
        return () if self.collector is None else self.collector.collect(now)

    def fail(self, error: Exception, now: int) -> None:
        """Close the collector and set when to try again: later and later while it keeps failing."""
        if now - self.failed_at > _LONGEST_BACKOFF_NS:
            self.backoff_ns = _FIRST_BACKOFF_NS
        self.failures += 1
        self.failed_at, self.retry_at = now, now + self.backoff_ns
        self.backoff_ns = min(2 * self.backoff_ns, _LONGEST_BACKOFF_NS)
        self.close()
        self.status, self.reason = "failed", _described(error)

    @property
    def needs(self) -> frozenset[privileges.Capability]:
        """What it will use: that of its source; while none is open but will be tried again, that of all of them."""
        if self.collector is not None and self.entry is not None:
            return self.entry.needs
        if self.retry_at is None:
            return frozenset()
        return frozenset().union(*(entry.needs for entry in registered()[self.name]))

    def report(
        self, now: int, numbering: Numbering, footprint: Footprint, governor: Governor | None = None
    ) -> CollectorReport:
        """What there is to say of it."""
        limits = [*(self.limited.limitations if self.limited else ()), *self.damage.sentences, *self.budget.sentences]
        if governor is not None and self.collector is not None:
            limits.append(governor.sentence(self.pace))
        kinds = self._kinds()
        return CollectorReport(
            timestamp=now,
            name=self.name,
            pid=os.getpid(),
            supervisor_pid=supervisor(),
            source=self.entry.source if self.entry else None,
            kinds=kinds,
            run=numbering.run,
            printed=numbering.printed(kinds),
            status=self.status,
            reason="; ".join(filter(None, (self.reason, *limits))) or None,
            events=self.events,
            runs=self.runs,
            failures=self.failures,
            missed=self.missed,
            lost=self.lost,
            left_out=self.budget.left_out,
            not_understood=self.damage.count,
            cpu_ns=self.cpu_ns,
            last_duration_ns=self.last_duration_ns,
            sampled_every=self.pace.every,
            memory_kb=self.memory_kb,
            process_cpu_ns=footprint.cpu_ns,
            process_rss_kb=footprint.rss_kb,
        )

    def _kinds(self) -> str:
        """The kinds of event it yields, or would yield if it could run."""
        entries = [self.entry] if self.entry else registered()[self.name]
        return ",".join(dict.fromkeys(kind_of(struct).name for entry in entries for struct in entry.emits))


def _has_sums(struct: type[Event]) -> bool:
    """Whether rows of a kind have sums over the second before them."""
    return any(isinstance(column.semantics, Delta) for column in kind_of(struct).columns)


def _described(error: Exception) -> str:
    """What went wrong; and where it was raised, unless it is an error of ours, which says so in its message."""
    if isinstance(error, KernelSightError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
