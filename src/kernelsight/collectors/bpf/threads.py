"""The programs on the scheduler's hooks (bpf/threads.bpf.c), loaded once for all collectors that live on them.

A collector takes part with :func:`join` and leaves by closing what it got; the hooks that only it
needs are detached then, and the last one to leave closes the object.
"""

from __future__ import annotations

import errno
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from functools import cache

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.btf import of_kernel
from kernelsight.collectors.bpf.file_calls import ON_A_DESCRIPTOR, ON_A_PATH, ON_A_PATH_AT, places
from kernelsight.collectors.bpf.libbpf import Object, Setting
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.syscall_names import COMPAT, numbers_of
from kernelsight.collectors.time_namespace import kernel_monotonic_ns
from kernelsight.linux import syscalls

MS = 1_000_000
DEFAULT_THRESHOLD_MS = 10
_MAX_CALLS = 512  # MAX_CALLS in bpf/threads.h


class Feature(IntFlag):
    """What is in use: `enum feature` in bpf/threads.h."""

    SLOW_CALLS = 1
    CALL_ERRORS = 2
    RUN_QUEUE = 4
    WAIT_EDGES = 8
    BLOCKED_TASKS = 16  # only reads what the others leave


_SWITCH = ("on_switch", "on_wakeup_new")
_HOOKS: Mapping[Feature, tuple[str, ...]] = {
    Feature.SLOW_CALLS: (*_SWITCH, "on_exit", "on_tick"),
    Feature.CALL_ERRORS: ("on_exit",),
    Feature.RUN_QUEUE: (*_SWITCH, "on_fork", "on_exec", "on_thread_exit"),
    Feature.WAIT_EDGES: (*_SWITCH, "on_waking"),
    Feature.BLOCKED_TASKS: (),
}

# Calls whose purpose is to wait for something to happen: an interruptible sleep in them says nothing.
WAIT_BY_DESIGN = numbers_of(
    *syscalls.IDLE_WAITS, *syscalls.USER_LOCKS, *syscalls.RECEIVES, *syscalls.ENTERS_RING,
    *syscalls.RECEIVES_SYSTEM_V, *syscalls.MULTIPLEXED,
)  # fmt: skip
# Calls of which EAGAIN says something: there may be no more tasks, no more of what a limit counts, or somebody else
# has locked the file.
_MAY_BE_REFUSED = numbers_of(
    *syscalls.FORKS, *syscalls.FILE_LOCKS, "io_setup", "mlock", "mlock2", "mlockall", "timer_create",
)  # fmt: skip
# Calls in which a loopback packet can wake its receiver, or an acknowledgement its sender.
_SEND = numbers_of(
    "write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "connect", "close", "shutdown",
    *syscalls.RECEIVES, *syscalls.ACCEPTS, *syscalls.ENTERS_RING,
)  # fmt: skip
# Calls that wait for a word of memory, which is their first argument; where that is found in a 32-bit program's
# registers is not looked for.
_WAIT_ON_WORD = {number for number in numbers_of("futex", "futex_wait") if number < COMPAT}

# Errors of a resource that has run out, is full, or is broken.
EXHAUSTION = frozenset(
    {
        errno.EIO, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.EFBIG, errno.ENOSPC, errno.EROFS,
        errno.ENOLCK, errno.EUSERS, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ENOBUFS,
        errno.ETOOMANYREFS, errno.EDQUOT,
    }
)  # fmt: skip
_REFUSAL = frozenset({errno.EAGAIN})


def _flags_of_calls() -> bytes:
    flags = bytearray(2 * _MAX_CALLS)
    on_files = ON_A_DESCRIPTOR | ON_A_PATH | ON_A_PATH_AT
    for bit, numbers in ((1, WAIT_BY_DESIGN), (2, _MAY_BE_REFUSED), (4, _SEND), (8, _WAIT_ON_WORD), (16, on_files)):
        for number in numbers:
            flags[number % COMPAT + _MAX_CALLS * (number >= COMPAT)] |= bit
    return bytes(flags)


def _call_places() -> bytes:
    told = places()
    return bytes(told.get(number, 0) for number in range(_MAX_CALLS))


def _watched_errors() -> bytes:
    return bytes(1 if n in EXHAUSTION else 2 if n in _REFUSAL else 0 for n in range(256))


def _of_machine() -> dict[str, Setting]:
    """Where x86 keeps the count of nested contexts: its distance from the run queue of the same CPU; 0 if unknown."""
    if platform.machine() != "x86_64":
        return {}
    with of_kernel() as types:
        places = types.variables(".data..percpu")
    nested = places.get("__preempt_count") or places.get("pcpu_hot")
    queue = places.get("runqueues")
    return {"nested_from_runqueue": nested.offset - queue.offset if nested and queue else 0}


def _settings(host: Host) -> dict[str, Setting]:
    options = host.options
    settings: dict[str, Setting] = {
        "call_flags": _flags_of_calls(),
        "call_places": _call_places(),
        "watched_errors": _watched_errors(),
        "call_threshold_ns": int(float(options.get("threshold_ms", DEFAULT_THRESHOLD_MS)) * MS),
        "queue_threshold_ns": int(float(options.get("runqueue_threshold_ms", DEFAULT_THRESHOLD_MS)) * MS),
        "include_waits": bool(options.get("include_waits", False)),
    }
    return settings


@cache
def _hooks(feature: Feature) -> tuple[str, ...]:
    """The programs that a feature needs on this kernel."""
    hooks = _HOOKS[feature]
    if "on_switch" in hooks and "on_waking" not in hooks and not _kernel_keeps_delays():
        hooks += ("on_waking",)
    return hooks


def _kernel_keeps_delays() -> bool:
    """As KERNEL_KEEPS_DELAYS in bpf/threads.h; without it, the time of every waking must be seen."""
    with of_kernel() as types:
        return "last_queued" in types.members("sched_info") and "cfs_rq" in types.members("sched_entity")


@dataclass(slots=True)
class Threads:
    """The loaded object and who takes part."""

    object: Object
    users: dict[Feature, int]

    def features(self) -> Feature:
        """What is in use now."""
        used = Feature(0)
        for feature, count in self.users.items():
            if count:
                used |= feature
        return used

    def enter(self, feature: Feature) -> None:
        """Attach what a feature needs and switch it on."""
        if "on_switch" in _hooks(feature) and "on_switch" not in self.object.attached:
            self.object.variable("began").value = kernel_monotonic_ns()
        if feature is Feature.SLOW_CALLS and not self.users.get(feature):
            self.object.variable("calls_began").value = kernel_monotonic_ns()
        self.object.attach(*_hooks(feature))
        self.users[feature] = self.users.get(feature, 0) + 1
        self.object.variable("features").value = int(self.features())

    def leave(self, feature: Feature) -> None:
        """Switch a feature off and detach what nothing else needs."""
        self.users[feature] -= 1
        used = self.features()
        self.object.variable("features").value = int(used)
        needed = {hook for other in used for hook in _hooks(other)}
        self.object.detach(*(hook for hook in _hooks(feature) if hook not in needed))


_loaded: dict[tuple[tuple[str, Setting], ...], Threads] = {}


class Membership:
    """One collector's part in the shared programs."""

    def __init__(self, feature: Feature, host: Host) -> None:
        settings = _settings(host)
        self._feature = feature
        self._key = tuple(sorted(settings.items()))
        self._threads: Threads | None = _loaded.get(self._key)
        if self._threads is None:
            settings |= _of_machine()
            self._threads = _loaded[self._key] = Threads(Object(image("threads"), "threads", settings=settings), {})
        try:
            self._threads.enter(feature)
        except BaseException:
            self._drop()
            raise

    @property
    def object(self) -> Object:
        """The loaded programs and their maps."""
        if self._threads is None:
            raise ValueError("closed")
        return self._threads.object

    def close(self) -> None:
        """Leave; calling it again does nothing."""
        if self._threads is not None:
            self._threads.leave(self._feature)
            self._drop()

    def _drop(self) -> None:
        if self._threads is not None and not self._threads.features():
            self._threads.object.close()
            del _loaded[self._key]
        self._threads = None


def join(feature: Feature, host: Host) -> Membership:
    """Take part in the programs on the scheduler's hooks.

    Options: `threshold_ms` and `include_waits` (slow system calls), `runqueue_threshold_ms` (waits for a CPU).

    Raises:
        SourceUnavailableError: they cannot be loaded or attached here.
    """
    return Membership(feature, host)
