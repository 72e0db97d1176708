"""Which descriptors the threads of a process sleep for, by the calls that they are in (/proc/PID/task/TID/syscall).

They may be read for ever, as :mod:`kernelsight.collectors.memory_of` says: not in a thread that others wait for.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from kernelsight.collectors.bpf.syscall_names import numbers_of
from kernelsight.collectors.files import read_once
from kernelsight.collectors.memory_of import Memory
from kernelsight.linux.syscalls import RECEIVES, WRITES

_ON_ONE = numbers_of(*RECEIVES)
_WRITES = numbers_of(*WRITES)
_POLLS = numbers_of("poll", "ppoll")
_SELECTS = numbers_of("select", "pselect6")
_EPOLLS = numbers_of("epoll_wait", "epoll_pwait", "epoll_pwait2")
_POLLFD = struct.Struct("=ihh")
_MOST_THREADS = 32
_MOST_DESCRIPTORS = 64
_TERMINALS = frozenset({4, 5, 204, 229, *range(136, 144)})
"""Major numbers of consoles, serial lines, `/dev/tty` and pseudoterminals (Documentation/admin-guide/devices.txt)."""
_MULTIPLEXER = os.makedev(5, 2)
"""`/dev/ptmx`: the end of a pseudoterminal at which a terminal emulator is, and no user."""


def descriptors_waited_for(proc: Path, pid: int) -> frozenset[int]:
    """The descriptors that the threads of a process wait to read now, as far as that is known: 32 threads at most."""
    return frozenset(
        descriptor for call, *arguments in _calls(proc, pid) for descriptor in _read_by(proc, pid, call, arguments)
    )


def waits_at_terminal(proc: Path, pid: int) -> bool | None:
    """Whether a thread of a process sleeps in a call on a terminal; None: its calls cannot be read.

    Reading from a terminal, it waits for its user. Writing to one, it waits until the user lets the output go on.
    """
    calls = [*_calls(proc, pid)]
    descriptors = {
        descriptor
        for call, *arguments in calls
        for descriptor in (arguments[:1] if call in _WRITES else _read_by(proc, pid, call, arguments))
    }
    return any(_is_terminal(proc / str(pid) / "fd" / str(descriptor)) for descriptor in descriptors) if calls else None


def _calls(proc: Path, pid: int) -> Iterator[tuple[int, int, int]]:
    """The calls that the threads of a process sleep in, by number, each with its first two arguments."""
    with suppress(OSError):
        for task in islice((proc / str(pid) / "task").iterdir(), _MOST_THREADS):
            words = (read_once(task / "syscall") or b"").split()
            if len(words) > 3 and words[0].isdigit():
                yield int(words[0]), int(words[1], 16), int(words[2], 16)


def _is_terminal(path: Path) -> bool:
    try:
        of = path.stat()
    except OSError:
        return False
    return stat.S_ISCHR(of.st_mode) and os.major(of.st_rdev) in _TERMINALS and of.st_rdev != _MULTIPLEXER


def _read_by(proc: Path, pid: int, call: int, arguments: list[int]) -> list[int]:
    """The descriptors that a call waits to read; none where that cannot be known."""
    try:
        return [*_of_call(proc, pid, call, arguments)]
    except OSError:
        return []


def _of_call(proc: Path, pid: int, call: int, arguments: list[int]) -> Iterator[int]:
    first, second = arguments
    if call in _ON_ONE:
        yield first
    elif call in _POLLS:
        with Memory(proc, pid) as memory:
            whole = memory.read(first, min(second, _MOST_DESCRIPTORS) * _POLLFD.size)
        yield from (entry[0] for entry in _POLLFD.iter_unpack(whole[: len(whole) // _POLLFD.size * _POLLFD.size]))
    elif call in _SELECTS:
        with Memory(proc, pid) as memory:
            bits = memory.read(second, (min(first, _MOST_DESCRIPTORS) + 7) // 8)
        yield from (at for at in range(8 * len(bits)) if bits[at // 8] >> at % 8 & 1 and at < first)
    elif call in _EPOLLS:
        for line in (read_once(proc / str(pid) / "fdinfo" / str(first)) or b"").splitlines():
            words = line.split()
            if words[:1] == [b"tfd:"] and words[1].isdigit():
                yield int(words[1])
