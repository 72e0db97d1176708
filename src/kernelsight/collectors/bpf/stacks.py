"""What the CPUs compute: stacks of the threads that run, taken by a timer (bpf/stacks.bpf.c)."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, Literal, TypeVar

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.columns import Columns, Filler, made
from kernelsight.collectors.bpf.cpu_events import CpuEvents, Trigger
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.stack_frames import Ends, KernelFrames, Resolved, UserFrames
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.privileges import OTHERS_PROCESSES, limits_on_others
from kernelsight.errors import UsageError
from kernelsight.events.declare import Event
from kernelsight.events.stack import FaultStack, Stack, StackSample
from kernelsight.events.unsigned import wrap_u64
from kernelsight.linux.stacks import NO_FILE, Frames, encoded, stack_id

E = TypeVar("E", StackSample, FaultStack)

DEFAULT_HZ = 19
"""A prime number: what programs do a round number of times a second is not always met at the same place."""
_HIGHEST_HZ = 99
_CLOCK = 0  # PERF_COUNT_SW_CPU_CLOCK
_PAGE_FAULTS = 2  # PERF_COUNT_SW_PAGE_FAULTS
FAULTS_PER_STACK = 97
"""A prime number, as for the clock: 300,000 faults a second are 3,000 stacks."""
_ROOM_FOR_FAULTS = 4096
_MOST_FRAMES = 127  # MAX_FRAMES in bpf/stacks.bpf.c
_STACKS_PER_CPU = 4
"""Of room in the kernel's maps, in samples of a second."""
_LEAST_ROOM = 128

_AGAIN_S = 300
"""A stack that is in use is written again so often, so that a window has what its samples name."""
_MOST_KNOWN = 8192
_BURST, _NEW_PER_S = 400, 10
"""New stacks that are written whole: so many at once, and so many a second in the long run."""
_INNERMOST = 4
"""Frames that are kept of each where there are more."""
_MOST_MET_PER_S = 40
"""New processes whose mappings are read at once; those of others are read when the second is over."""


FAULTS = Columns(
    FaultStack,
    "sampled",
    "samples",
    apart=("user", "kernel"),
    faults=made(lambda samples: samples * FAULTS_PER_STACK, "samples"),
    cgroup_id=made(wrap_u64, "cgroup_id"),
)
SAMPLES = Columns(
    StackSample,
    "sampled",
    "samples",
    apart=("user", "kernel"),
    cgroup_id=made(wrap_u64, "cgroup_id"),
)


class StackBook:
    """Which stacks were written, so that each is once while it is in use; too many new ones are cut to a few frames."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._written: OrderedDict[int, int] = OrderedDict()
        self._allowed = float(_BURST)
        self._at = monotonic_ns()
        self.thinned = 0
        """Stacks that were cut."""

    def enter(
        self, now: int, space: Literal["user", "kernel"], pid: int, resolved: Resolved
    ) -> tuple[int, Stack | None]:
        """The number of a stack, and the row of it where it has to be written.

        Args:
            now: the grid point.
            space: `user` or `kernel`.
            pid: the process.
            resolved: the stack.
        """
        moment = self._monotonic_ns()
        self._allowed = min(_BURST, self._allowed + max(0, moment - self._at) / NS_PER_S * _NEW_PER_S)
        self._at = moment
        frames, ends = resolved.frames, resolved.ends
        own = any(file == NO_FILE for file, _ in frames.places)
        number, text = _number(frames, ends, pid if own else 0)
        due = self._is_due(number, moment)
        if due and self._allowed < 1 and max(len(frames.places), len(frames.kernel)) > _INNERMOST:
            self.thinned += 1
            frames, ends = _innermost(frames), "thinned"
            number, text = _number(frames, ends, pid if own else 0)
            due = self._is_due(number, moment)
        if not due:
            return number, None
        self._allowed = max(0.0, self._allowed - 1)
        self._written[number] = moment
        self._written.move_to_end(number)
        while len(self._written) > _MOST_KNOWN:
            self._written.popitem(last=False)
        return number, Stack(now, stack_id=number, space=space, pid=pid, frames=text, ends=ends)

    def _is_due(self, number: int, moment: int) -> bool:
        written = self._written.get(number)
        return written is None or moment - written >= _AGAIN_S * NS_PER_S


def _number(frames: Frames, ends: Ends, pid: int) -> tuple[int, str]:
    text = encoded(frames)
    return stack_id(f"{pid} {ends} {text}"), text


def _innermost(frames: Frames) -> Frames:
    places = frames.places[:_INNERMOST]
    numbers: dict[int, int] = {NO_FILE: NO_FILE}
    for file, _ in places:
        if file != NO_FILE:
            numbers.setdefault(file, len(numbers) - 1)
    files = tuple(frames.files[file] for file in numbers if file != NO_FILE)
    return Frames(files, tuple((numbers[file], offset) for file, offset in places), frames.kernel[:_INNERMOST])


def _hz(host: Host) -> int:
    hz = int(host.options.get("stack_hz", DEFAULT_HZ))
    if not 1 <= hz <= _HIGHEST_HZ:
        raise UsageError(f"stack_hz={hz}: it must be from 1 to {_HIGHEST_HZ}")
    return hz


class CountedStacks(Generic[E]):
    """Stacks of whoever runs when a software event has counted so many, by process and stack.

    Args:
        host: the machine.
        columns: the kind of the rows.
        trigger: the event.
        room: for so many stacks a second.
    """

    def __init__(self, host: Host, columns: Columns[E], trigger: Trigger, room: int) -> None:
        self._trigger = trigger
        self.limitations = limits_on_others("paths of files in the stacks", host.proc)
        self._object = Object(
            image("stacks"), "stacks", max_entries={"counts": room, "user_stacks": room, "kernel_stacks": room}
        )
        try:
            self._fill: Filler[E] = columns.of(self._object.types)
            self._counts = self._object.map("counts")
            self._maps = self._object.map("user_stacks"), self._object.map("kernel_stacks")
            self._lost = self._object.variable("samples_lost")
            self._ring = self._object.ring("newcomers")
            self._user = UserFrames(host.proc, _MOST_FRAMES)
            self._kernel = KernelFrames(self._object, _MOST_FRAMES)
            self._events = CpuEvents(self._object, host.sys)
            self._events.follow((self._trigger,))
        except BaseException:
            self._object.close()
            raise
        self._book = StackBook(host.monotonic_ns)
        self._kept: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})
        self._may_meet = _MOST_MET_PER_S

    def fileno(self) -> int:
        """Readable when a process was sampled for the first time: its mappings are to be read while it lives."""
        return self._ring.epoll_fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:  # noqa: ARG002 - no event is made here
        """Read the mappings of new processes."""
        for record in self._ring.consume():
            if self._may_meet:
                self._may_meet -= 1
                self._user.meet(int.from_bytes(record, "little"))
        return ()

    def _counted(self, now: int) -> tuple[list[Event], list[E]]:
        """The stacks that were not written lately, and the samples since the last time."""
        self._events.follow((self._trigger,))
        self._may_meet = _MOST_MET_PER_S
        keys, values = self._counts.drain()
        # After the counts, so that every sample's stack is there. What is of later samples is kept for the next time.
        drained = [_by_hash(stacks.drain(), stacks.value_size) for stacks in self._maps]
        known = [before | fresh for before, fresh in zip(self._kept, drained, strict=True)]
        samples = self._fill(now, keys, values)
        stacks: list[Event] = []
        numbers: dict[tuple[int, int], int] = {}
        key_reader = self._fill.layouts[0].struct(("user", "kernel"))
        for sample, (user, kernel) in zip(samples, key_reader.iter_unpack(keys), strict=True):
            pid = sample.pid or 0
            sample.user_stack_id = self._entered(now, stacks, numbers, pid, user, known[0])
            sample.kernel_stack_id = self._entered(now, stacks, numbers, 0, kernel, known[1])
        used = {number for _, number in numbers}
        self._kept = tuple(  # type: ignore[assignment]
            {number: stack for number, stack in fresh.items() if number not in used} for fresh in drained
        )
        return stacks, list(samples)

    @property
    def lost(self) -> int:
        """Samples, or their stacks, that found a map full."""
        return self._lost.value

    def close(self) -> None:
        """Stop the timers."""
        self._object.close()

    def _entered(  # noqa: PLR0913, PLR0917 - the one place that puts together what is known of a stack
        self,
        now: int,
        rows: list[Event],
        numbers: dict[tuple[int, int], int],
        pid: int,
        number: int,
        known: dict[int, bytes],
    ) -> int | None:
        stack = known.get(number)
        if stack is None:
            return None
        entered = numbers.get((pid, number))
        if entered is None:
            resolved = self._user.resolve(pid, stack) if pid else self._kernel.resolve(stack)
            entered, row = self._book.enter(now, "user" if pid else "kernel", pid, resolved)
            numbers[pid, number] = entered
            if row is not None:
                rows.append(row)
        return entered


@collector(name="stacks", source="bpf", emits=(StackSample, Stack), needs=OTHERS_PROCESSES)
class Stacks(CountedStacks[StackSample]):
    """Stacks of running threads, `stack_hz` (19) times a second on every CPU, counted by process and stack."""

    def __init__(self, host: Host) -> None:
        hz = _hz(host)
        self._ns_per_sample = NS_PER_S // hz
        room = max(_LEAST_ROOM, _STACKS_PER_CPU * hz * (os.cpu_count() or 1))
        super().__init__(host, SAMPLES, Trigger("on_sample", _CLOCK, self._ns_per_sample), room)

    def collect(self, now: int) -> Iterable[Event]:
        """The samples since the last time, and the stacks of them that were not written lately."""
        stacks, samples = self._counted(now)
        for sample in samples:
            sample.cpu_ns = (sample.samples or 0) * self._ns_per_sample
        return [*stacks, *samples]


@collector(name="fault_stacks", source="bpf", emits=(FaultStack, Stack), default=False, needs=OTHERS_PROCESSES)
class FaultStacks(CountedStacks[FaultStack]):
    """Stacks of every 97th page fault on each CPU, counted by process and stack; for a probe."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, FAULTS, Trigger("on_sample", _PAGE_FAULTS, FAULTS_PER_STACK), _ROOM_FOR_FAULTS)

    def collect(self, now: int) -> Iterable[Event]:
        """The faults since the last time, and the stacks of them that were not written lately."""
        stacks, counted = self._counted(now)
        return [*stacks, *counted]


def _by_hash(drained: tuple[bytes, bytes], size: int) -> dict[int, bytes]:
    keys, values = drained
    hashes: memoryview[int] = memoryview(keys).cast("Q")
    return {number: values[place * size : (place + 1) * size] for place, number in enumerate(hashes)}
