"""Locks that threads have waited for, and where the waiters and the holder stand (bpf/lock_waits.bpf.c)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from struct import Struct, unpack

import msgspec

from kernelsight.collectors.background_reads import BackgroundReads
from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.stack_frames import Resolved
from kernelsight.collectors.bpf.stacks import StackBook
from kernelsight.collectors.bpf.syscall_names import COMPAT, name_of, numbers_of
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.mappings import Mappings, Process
from kernelsight.collectors.memory_of import Memory, callers, placed
from kernelsight.collectors.privileges import OTHERS_PROCESSES, limits_on_others
from kernelsight.collectors.text import fixed_name
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.declare import Event
from kernelsight.events.lock_wait import LockWait
from kernelsight.events.stack import Stack
from kernelsight.events.unsigned import wrap_u64
from kernelsight.linux.stacks import Frames

_CONTENDED = 2
"""The value of a lock that somebody has and others wait for (glibc, musl, Rust: Drepper, "Futexes Are Tricky")."""
_OWNER_AT = 8
"""Where glibc's pthread_mutex_t has its owner (struct __pthread_mutex_s)."""
_OWNER_BITS, _WAITED_FOR = 0x3FFFFFFF, 0x80000000
"""FUTEX_TID_MASK, FUTEX_WAITERS: of a lock with priority inheritance, and of musl's, the word is its owner."""
_MOST_LOOKED_AT = 200
"""Words in a second that are read to see what they are."""
_MOST_LOCKS = 12
"""Locks in a second whose stacks are taken."""
_FORGETS_S = 300
"""A word that is no lock, but such as a pool of threads waits for, is looked at again after so long at most."""
_KEY = Struct("<QII")  # struct word_key
_MOST_THREADS = 512
"""Of a process in a PID namespace of its own, that are looked at for the one that has the lock."""
_MS = 1e6
DEFAULT_THRESHOLD_MS = 10
_LONGEST_THRESHOLD_MS = 10_000


class Waiter(msgspec.Struct, gc=False):
    """A thread as the pass saw it (struct lock_waiter)."""

    asleep_ns: int
    word: int
    place: int
    stack: int
    frame: int
    cgroup_id: int
    pid: int
    tid: int
    comm: bytes


@dataclass(slots=True)
class Lock:
    """One word that threads wait for, and what was found out of it."""

    waiters: Sequence[Waiter]
    """Who has waited longest comes first."""
    is_lock: bool = False
    waiter_stack: Frames | None = None
    holder_tid: int | None = None
    holder_comm: str | None = None
    holder_runs: bool = False
    holder_call: str | None = None
    holder_stack: Frames | None = None


def by_word(waiters: Iterable[Waiter]) -> list[Lock]:
    """The words that threads wait for; those with most waiters first."""
    words: dict[tuple[int, int], list[Waiter]] = {}
    for waiter in waiters:
        words.setdefault((waiter.pid, waiter.word), []).append(waiter)
    locks = [Lock(sorted(each, key=lambda waiter: -waiter.asleep_ns)) for each in words.values()]
    return sorted(locks, key=lambda lock: (-len(lock.waiters), lock.waiters[0].asleep_ns))


def _pid_of(lock: Lock) -> int:
    return lock.waiters[0].pid


def thread_with_number(process: Path, number: int) -> int | None:
    """The thread of a process that has this number in its own PID namespace, as the lock of a program says it.

    Args:
        process: its directory in /proc.
        number: a thread's number there.

    Raises:
        OSError: the process is gone.
    """
    tasks = process / "task"
    if len(_numbers(process)) < 2:  # it is in our own namespace
        return number if (tasks / str(number)).exists() else None
    for thread in islice(tasks.iterdir(), _MOST_THREADS):
        with suppress(OSError):  # it has just ended
            if _numbers(thread)[-1:] == [number]:
                return int(thread.name)
    return None


def _numbers(task: Path) -> list[int]:
    """The numbers of a task in the namespaces that it is in, outermost first (`NSpid`)."""
    for line in (task / "status").read_bytes().splitlines():
        if line.startswith(b"NSpid:"):
            return [int(word) for word in line.split()[1:]]
    return []


class Look:
    """Finds out which lock a word of memory is, whose it is, and where its waiters and its holder stand."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._mappings = Mappings(proc)

    def __call__(self, locks: Sequence[Lock]) -> Sequence[Lock]:
        """Fill in what can be found; a process that is gone stays as it is."""
        taken = 0
        for pid, its in groupby(sorted(locks, key=_pid_of), key=_pid_of):
            try:
                with Memory(self._proc, pid) as memory:
                    for lock in its:
                        lock.holder_tid = self._holder(memory, lock)
                        if lock.is_lock and taken < _MOST_LOCKS:
                            taken += 1
                            with suppress(OSError):  # the thread that has it has just ended
                                self._take(memory, lock)
            except OSError:
                continue
        return locks

    def _holder(self, memory: Memory, lock: Lock) -> int | None:
        """The thread of the same process that has the lock, by the word and what is beside it."""
        waiter = lock.waiters[0]
        data = memory.read(waiter.word, _OWNER_AT + 4)
        if len(data) < _OWNER_AT + 4:
            return None
        value, _, owner = unpack("<III", data)
        number = owner if value == _CONTENDED else value & _OWNER_BITS if value & _WAITED_FOR else 0
        tid = thread_with_number(self._proc / str(waiter.pid), number) if number else None
        lock.is_lock = value == _CONTENDED or tid is not None
        return tid

    def _take(self, memory: Memory, lock: Lock) -> None:
        waiter = lock.waiters[0]
        process = self._mappings.of(waiter.pid)
        if process is None or process.at(waiter.place) is None:
            process = self._mappings.read(waiter.pid)
        if process is None:
            return
        lock.waiter_stack = placed(callers(memory.read, process, waiter.place, waiter.stack, waiter.frame), process)
        if lock.holder_tid is not None:
            self._take_holder(memory, process, lock)

    def _take_holder(self, memory: Memory, process: Process, lock: Lock) -> None:
        thread = self._proc / str(lock.waiters[0].pid) / "task" / str(lock.holder_tid)
        lock.holder_comm = fixed_name((thread / "comm").read_bytes().rstrip(b"\n"))
        words = (thread / "syscall").read_text().split()
        lock.holder_runs = words[:1] == ["running"]
        if len(words) < 3:
            return
        number = int(words[0])
        lock.holder_call = name_of(number) if number >= 0 else None
        stack, place = (int(word, 16) for word in words[-2:])
        lock.holder_stack = placed(callers(memory.read, process, place, stack), process)


@collector(name="lock_waits", source="bpf", emits=(LockWait, Stack), needs=OTHERS_PROCESSES)
class LockWaits:
    """Locks that threads have waited for for `lock_threshold_ms` (10), who has them, where both stand; every second."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the kernel's list of threads is of this machine, not of {host.proc}")
        self._host = host
        self._object = Object(
            image("lock_waits"), "lock_waits", settings={**_calls(), "threshold_ns": _threshold_ns(host)}
        )
        self._records = Records(self._object.types.layout("lock_waiter"), Waiter)
        self._no_locks = self._object.map("no_locks")
        self._forget_at = host.monotonic_ns() + _FORGETS_S * NS_PER_S
        self._aside = BackgroundReads(Look(host.proc))
        self._asked_at = 0
        self._doubtful: set[bytes] = set()
        """Words that the last look took for no lock: a lock is free for a moment, too, when it goes from one thread to
        the next."""
        self._book = StackBook(host.monotonic_ns)
        self._limits = limits_on_others("locks", host.proc)
        try:
            self._object.iterate("lock_waiters")
        except BaseException:
            self._object.close()
            raise

    def collect(self, now: int) -> Iterable[Event]:
        """What was found out of the locks of the last second; then a pass for those of this one."""
        events: list[Event] = []
        done = self._aside.answer(0.0)
        if done is not None:
            if done.error is not None:
                raise done.error
            found = done.answer or ()
            events = [event for lock in found if lock.is_lock for event in self._told(self._asked_at, lock)]
            self._pass_over(lock for lock in found if not lock.is_lock)
        if not self._aside.is_busy:
            self._forget()
            locks = by_word(self._records.each(self._object.iterate("lock_waiters")))[:_MOST_LOOKED_AT]
            if locks:
                self._asked_at = now
                self._aside.ask(locks)
        return events

    @property
    def limitations(self) -> list[str]:
        """What cannot be told."""
        return [*self._limits, *self._aside.limitations("locks")]

    def close(self) -> None:
        """Remove the program from the kernel."""
        self._aside.close()
        self._object.close()

    def _forget(self) -> None:
        """A word that was none may be a lock by now: memory is used again."""
        moment = self._host.monotonic_ns()
        if moment >= self._forget_at:
            self._forget_at = moment + _FORGETS_S * NS_PER_S
            self._no_locks.drain()

    def _pass_over(self, words: Iterable[Lock]) -> None:
        """Have the kernel pass over words that two looks in a row took for no lock."""
        keys = {_KEY.pack(word.waiters[0].word, word.waiters[0].pid, 0) for word in words}
        for key in keys & self._doubtful:
            self._no_locks.update(key, bytes(8))
        self._doubtful = keys - self._doubtful

    def _told(self, stamp: int, lock: Lock) -> Iterable[Event]:
        waiter = lock.waiters[0]
        event = LockWait(
            stamp,
            pid=waiter.pid,
            comm=fixed_name(waiter.comm),
            word=wrap_u64(waiter.word),
            waiters=len(lock.waiters),
            longest_ms=waiter.asleep_ns / _MS,
            waiter_tid=waiter.tid,
            holder_tid=lock.holder_tid,
            holder_comm=lock.holder_comm,
            cgroup_id=wrap_u64(waiter.cgroup_id),
        )
        if lock.holder_comm is not None:
            event.holder_state = "running" if lock.holder_runs else "sleeping"
            event.holder_call = lock.holder_call
        for frames, column in ((lock.waiter_stack, "waiter_stack_id"), (lock.holder_stack, "holder_stack_id")):
            if frames is None:
                continue
            number, row = self._book.enter(stamp, "user", waiter.pid, Resolved(frames, "scanned"))
            setattr(event, column, number)
            if row is not None:
                yield row
        yield event


def _threshold_ns(host: Host) -> int:
    threshold = float(host.options.get("lock_threshold_ms", DEFAULT_THRESHOLD_MS))
    if not 0 < threshold <= _LONGEST_THRESHOLD_MS:
        raise UsageError(f"lock_threshold_ms={threshold:g}: it must be above 0, and {_LONGEST_THRESHOLD_MS} at most")
    return round(threshold * _MS)


def _calls() -> Mapping[str, int]:
    """The numbers of the calls; -2 where this machine does not have one."""
    return {
        f"{name}_call": next((number for number in numbers_of(name) if number < COMPAT), -2)
        for name in ("futex", "futex_wait")
    }
