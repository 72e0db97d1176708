"""Page faults: the slow ones, a sample of the others, and exact counts per process (bpf/page_faults.bpf.c)."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.btf import Btf
from kernelsight.collectors.bpf.columns import Columns, made
from kernelsight.collectors.bpf.cpu_events import CpuEvents, Trigger
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.threads import MS
from kernelsight.collectors.time_namespace import kernel_monotonic_ns
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.declare import Event
from kernelsight.events.memory import PageFault, PageFaultStats

# FAULT_FLAG_* of the kernel, and one of ours, as in bpf/faulting.h
_WRITE, _USER, _INSTRUCTION, _ACCESS_UNKNOWN = 0x1, 0x40, 0x100, 0x80000000

_TYPES: tuple[Literal["minor", "major"], ...] = ("minor", "major")

DEFAULT_THRESHOLD_MS = 1
"""More than any fault needs that only the CPU works on (a huge page is cleared in 0.06 to 0.2 ms): someone waited."""
DEFAULT_SAMPLES_PER_S = 20

TIMING_NS = (560, 260, 0)
"""What a minor fault costs on every level, with the dearest source; see docs/decisions/page-faults.md."""
EVERY, MAJORS, NONE = range(3)
"""Levels: which faults are timed."""
LARGEST_SHARE = 0.02
"""Of the machine's CPU time, that this may cost."""
_EVERY_SAMPLE = 2**32 - 1

_COUNTING = ("on_thread_free", "scan_faults")
_EXCEPTIONS = ("begin_user", "begin_kernel")
_SOURCES = ("fexit", "fentry", "tracepoint", "kprobe", "perf")
_TRACED = "a kernel that lets programs trace its functions (CONFIG_FUNCTION_TRACER, since 5.5; arm64: 6.0)"
_EXCEPTIONS_EXIST = "the tracepoints exceptions:page_fault_* (x86, and recent arm64 kernels)"

# PERF_COUNT_SW_PAGE_FAULTS, _MIN, _MAJ
_BEGIN, _MINOR, _MAJOR = Trigger("begin_perf", 2), Trigger("end_minor", 5), Trigger("end_major", 6)


@lru_cache(maxsize=256)  # few kinds of faults come again and again
def access(flags: int) -> Literal["read", "write", "exec"] | None:
    """What was tried, if the source of the fault says it."""
    if flags & _ACCESS_UNKNOWN:
        return None
    return "exec" if flags & _INSTRUCTION else "write" if flags & _WRITE else "read"


@lru_cache(maxsize=256)
def _is_of_user(flags: int) -> bool:
    return bool(flags & _USER)


FAULTS = Columns(
    PageFault,
    "fault",
    stamp="ended_at",
    fault_type=made(_TYPES.__getitem__, "major"),
    access_type=made(access, "flags"),
    user_mode=made(_is_of_user, "flags"),
)


def _if_timed(spent: int, value: int) -> int | None:
    return value if spent else None


PROCESSES = Columns(
    PageFaultStats,
    "counted",
    apart=("tid",),
    fault_ns=made(_if_timed, "fault_ns", "fault_ns"),
    max_latency_ns=made(_if_timed, "fault_ns", "max_latency_ns"),
)


class Counting:
    """Folds the records of threads (struct counted) into one event a process; their counts are added up."""

    def __init__(self, types: Btf) -> None:
        self._fill = PROCESSES.of(types)
        (self.layout,) = self._fill.layouts
        at = {name: position for position, name in enumerate(self.layout.names)}
        self._pid, self._tid, self._comm, self._longest = at["pid"], at["tid"], at["comm"], at["max_latency_ns"]
        others = ("pid", "tid", "comm", "max_latency_ns", "cgroup_id")
        self._summed = [position for name, position in at.items() if name not in others]

    def events(self, counted: bytes, now: int, *, timed: bool) -> list[PageFaultStats]:
        """One event for every process.

        Args:
            counted: records of threads.
            now: the grid point.
            timed: whether all faults that can be timed were.
        """
        pid = self._pid
        processes: dict[int, Sequence[Any]] = {}
        for thread in self._fill.readers[0].iter_unpack(counted):
            process = processes.get(thread[pid])
            processes[thread[pid]] = thread if process is None else self._together(process, thread)
        events = self._fill.rows(now, processes.values())
        if not timed:
            for event in events:
                event.fault_ns = event.max_latency_ns = None
        return events

    def _together(self, process: Sequence[Any], thread: Sequence[Any]) -> Sequence[Any]:
        both = [*process]
        for position in self._summed:
            both[position] += thread[position]
        both[self._longest] = max(process[self._longest], thread[self._longest])
        if thread[self._tid] == thread[self._pid]:
            both[self._comm] = thread[self._comm]
        return both


@dataclass(slots=True)
class Pace:
    """How many faults to sample, and which to time at all."""

    samples_per_s: float
    bearable_ns: float
    """CPU time a second that timing may cost."""
    since: float
    minors: int = 0
    level: int = field(default=EVERY, init=False)

    def add(self, minors: int, at: float) -> None:
        """Look at the minor faults of an interval that ended at a time in seconds; decide once a second."""
        self.minors += minors
        if at - self.since < 1:
            return
        rate = self.minors / (at - self.since)
        level = self._bearable(rate)
        # Back only when there is room, so that it does not go to and fro.
        self.level = level if level >= self.level else min(self.level, self._bearable(2 * rate))
        self.since, self.minors = at, 0

    def _bearable(self, rate: float) -> int:
        return next(level for level, cost in enumerate(TIMING_NS) if rate * cost <= self.bearable_ns)

    def sample_below(self, minors: int, seconds: float) -> int:
        """The share of minor faults to sample, of 2^32, if there are as many as in the last interval."""
        wanted = self.samples_per_s * seconds
        return _EVERY_SAMPLE if minors <= wanted else int(_EVERY_SAMPLE * wanted / minors)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Programs, and those on perf events."""

    programs: tuple[str, ...] = ()
    triggers: tuple[Trigger, ...] = ()

    @property
    def names(self) -> set[str]:
        """All programs."""
        return {*self.programs, *(trigger.program for trigger in self.triggers)}


class PageFaults:
    """What all sources share: where they see a fault begin and end is all that they differ in.

    Options: `fault_threshold_ms` (1), `fault_samples_per_s` (20, of minor and as many of major faults),
    `fault_source` (the only source to use).
    """

    source: ClassVar[str]
    every: ClassVar[Hooks]
    """Time all faults."""
    majors: ClassVar[Hooks] = Hooks()
    """Time major faults alone, where that costs less."""
    kernel: ClassVar[str]
    """What it needs."""
    limits: ClassVar[tuple[str, ...]] = ()

    def __init__(self, host: Host) -> None:
        wanted = str(host.options.get("fault_source", self.source))
        if wanted not in _SOURCES:
            raise UsageError(f"fault_source={wanted}: it must be one of {', '.join(_SOURCES)}")
        if wanted != self.source:
            raise SourceUnavailableError(f"left out by fault_source={wanted}")
        samples = float(host.options.get("fault_samples_per_s", DEFAULT_SAMPLES_PER_S))
        bearable = LARGEST_SHARE * (os.cpu_count() or 1) * 1e9
        self._collected_at = time.monotonic()
        self._pace = Pace(samples, bearable, self._collected_at)
        try:
            self._object = self._load(host)
        except SourceUnavailableError as error:
            raise SourceUnavailableError(f"{error}; it needs {self.kernel}" if host.is_root else str(error)) from None

    def fileno(self) -> int:
        """Readable when faults are there."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """The faults that ended since the last time."""
        return self._faults(to_epoch, self._ring.consume())

    def discard(self) -> None:
        """Throw away the counts since the last time."""
        self._scan()
        self._collected_at = time.monotonic()

    def _scan(self) -> bytes:
        """What threads had since the last scan, those that have ended too."""
        _, ended = self._ended.drain()
        return self._object.iterate("scan_faults") + ended

    def collect(self, now: int) -> Iterable[Event]:
        """How many every process had since the last time."""
        counted = self._scan()
        stats = self._counting.events(counted, now, timed=self._pace.level == EVERY)
        minors = sum(event.minor_faults or 0 for event in stats)
        at = time.monotonic()
        self._pace.add(minors, at)
        self._sample(minors, at - self._collected_at)
        self._collected_at = at
        self._follow()
        return stats

    @property
    def lost(self) -> int:
        """Slow or sampled faults that found the ring full, ends without a beginning, threads that were not counted."""
        return sum(loss.value for loss in self._losses)

    @property
    def limitations(self) -> Sequence[str]:
        """What this source cannot say, and what is left out now."""
        level = self._pace.level
        if level == EVERY:
            return self.limits
        untimed = "fault_ns, max_latency_ns and slow minor faults" if level == MAJORS else "all but the counts"
        rate = round(self._pace.bearable_ns / TIMING_NS[level - 1] / 2)
        thinned = (
            f"{untimed}: not measured above {rate} faults a second: that would cost {LARGEST_SHARE:.0%} of the machine"
        )
        return (*self.limits, thinned)

    def close(self) -> None:
        """Detach the programs."""
        self._object.close()

    def _load(self, host: Host) -> Object:
        threshold = float(host.options.get("fault_threshold_ms", DEFAULT_THRESHOLD_MS))
        loaded = Object(
            image("page_faults"),
            "page_faults",
            settings={"threshold_ns": int(threshold * MS), "opened_at": kernel_monotonic_ns()},
            programs=self.every.names | self.majors.names | set(_COUNTING),
        )
        try:
            self._events = CpuEvents(loaded, host.sys)
            self._faults = FAULTS.of(loaded.types)
            self._counting = Counting(loaded.types)
            self._ring = loaded.ring("faults")
            self._ended = loaded.map("ended")
            self._sample_below = loaded.variable("sample_below")
            self._samples_left = loaded.variable("samples_left")
            losses = ("faults_lost", "starts_missed", "threads_missed", "ended_lost")
            self._losses = [loaded.variable(name) for name in losses]
            self._timed_since = loaded.variable("timed_since")
            self._timed_since.value = kernel_monotonic_ns()
            self._sample(0, 1)
            loaded.attach(*self.every.programs, "on_thread_free")
            loaded.iterate("scan_faults")  # what was before we came
            self._events.follow(self.every.triggers)
            self._attached = self.every
        except BaseException:
            loaded.close()
            raise
        return loaded

    def _sample(self, minors: int, seconds: float) -> None:
        samples = math.ceil(self._pace.samples_per_s * seconds)
        self._sample_below.value = self._pace.sample_below(minors, seconds)
        self._samples_left.values = (samples, samples)

    def _follow(self) -> None:
        """Attach what is wanted now, on the CPUs that are online now."""
        wanted = (self.every, self.majors, Hooks())[self._pace.level]
        if not self._attached.names and wanted.names:
            self._timed_since.value = kernel_monotonic_ns()
        self._object.detach(*(name for name in self._attached.programs if name not in wanted.programs))
        self._object.attach(*wanted.programs)
        self._events.follow(wanted.triggers)
        self._attached = wanted


@collector(name="page_faults", source="fexit", emits=(PageFault, PageFaultStats), rank=40)
class PageFaultsByFexit(PageFaults):
    """Slow page faults, a sample of the others, and counts per process; timed by tracepoints and fexit."""

    source = "fexit"
    every = Hooks((*_EXCEPTIONS, "end_fexit"))
    majors = Hooks(_EXCEPTIONS, (_MAJOR,))
    kernel = f"{_TRACED}, and {_EXCEPTIONS_EXIST}"


@collector(name="page_faults", source="fentry", emits=(PageFault, PageFaultStats), rank=30)
class PageFaultsByFentry(PageFaults):
    """Slow page faults, a sample of the others, and counts per process; timed by fentry and fexit."""

    source = "fentry"
    every = Hooks(("begin_fentry", "end_fexit"))
    majors = Hooks(("begin_fentry",), (_MAJOR,))
    kernel = _TRACED


@collector(name="page_faults", source="tracepoint", emits=(PageFault, PageFaultStats), rank=20)
class PageFaultsByTracepoint(PageFaults):
    """Slow page faults, a sample of the others, and counts per process; timed by tracepoints and perf events."""

    source = "tracepoint"
    every = Hooks(_EXCEPTIONS, (_MINOR, _MAJOR))
    majors = Hooks(_EXCEPTIONS, (_MAJOR,))
    kernel = _EXCEPTIONS_EXIST


@collector(name="page_faults", source="kprobe", emits=(PageFault, PageFaultStats), rank=10)
class PageFaultsByKprobe(PageFaults):
    """Slow page faults, a sample of the others, and counts per process; timed by a kprobe and perf events."""

    source = "kprobe"
    every = Hooks(("begin_kprobe",), (_MINOR, _MAJOR))
    majors = Hooks(("begin_kprobe",), (_MAJOR,))
    kernel = "a kernel with CONFIG_KPROBES"


@collector(name="page_faults", source="perf", emits=(PageFault, PageFaultStats))
class PageFaultsByPerf(PageFaults):
    """Slow page faults, a sample of the others, and counts per process; timed by perf events alone."""

    source = "perf"
    every = Hooks(triggers=(_BEGIN, _MINOR, _MAJOR))
    kernel = "a kernel with CONFIG_PERF_EVENTS"
    limits = ("access_type: perf events do not say it",)
