"""Which descriptors the threads of a process sleep for, by the calls that they are in (/proc/PID/task/TID/syscall)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from kernelsight.collectors.bpf.syscall_names import numbers_of
from kernelsight.collectors.files import read_once
from kernelsight.collectors.memory_of import Memory
from kernelsight.linux.syscalls import RECEIVES

_ON_ONE = numbers_of(*RECEIVES)
_POLLS = numbers_of("poll", "ppoll")
_EPOLLS = numbers_of("epoll_wait", "epoll_pwait", "epoll_pwait2")
_POLLFD = struct.Struct("=ihh")
_MOST_THREADS = 32
_MOST_DESCRIPTORS = 64


def descriptors_waited_for(proc: Path, pid: int) -> frozenset[int]:
    """The descriptors that the threads of a process wait for now, as far as that can be read: 32 threads at most.

    It may wait for ever, as :mod:`kernelsight.collectors.memory_of` does.
    """
    descriptors: set[int] = set()
    with suppress(OSError):
        for task in islice((proc / str(pid) / "task").iterdir(), _MOST_THREADS):
            words = (read_once(task / "syscall") or b"").split()
            if len(words) > 3 and words[0].isdigit():
                descriptors.update(_of_call(proc, pid, int(words[0]), [int(word, 16) for word in words[1:3]]))
    return frozenset(descriptors)


def _of_call(proc: Path, pid: int, call: int, arguments: list[int]) -> Iterator[int]:
    first, second = arguments
    if call in _ON_ONE:
        yield first
    elif call in _POLLS:
        with Memory(proc, pid) as memory:
            whole = memory.read(first, min(second, _MOST_DESCRIPTORS) * _POLLFD.size)
        yield from (entry[0] for entry in _POLLFD.iter_unpack(whole[: len(whole) // _POLLFD.size * _POLLFD.size]))
    elif call in _EPOLLS:
        for line in (read_once(proc / str(pid) / "fdinfo" / str(first)) or b"").splitlines():
            words = line.split()
            if words[:1] == [b"tfd:"] and words[1].isdigit():
                yield int(words[1])
