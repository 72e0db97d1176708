"""Memory of other processes, read a few words at a time: the word of a lock, and the callers on a stack.

A read may wait for ever (memory that another program serves), so it belongs into a thread of its own
(:class:`~kernelsight.collectors.background_reads.BackgroundReads`). What is read of a stack is looked at and forgotten:
nothing but addresses of code leaves this module.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from struct import unpack
from types import TracebackType
from typing import Self

from kernelsight.collectors.mappings import Mapping, Process
from kernelsight.linux.stacks import NO_FILE, File, Frames

_WORD = 8
_DEPTH = 2048
"""Bytes of the stack in which the caller of the C library is looked for: its own frames there are small."""
_MOST_FRAMES = 32
_LARGEST_FUNCTION = 1 << 14
_LARGEST_FRAME = 1 << 20
_C_LIBRARIES = ("libc.so", "libc-", "libpthread", "ld-linux", "ld-musl", "libstdc++")
_CALL_LENGTH = 7
"""Bytes of the longest call instruction of x86-64."""

Read = Callable[[int, int], bytes]
"""Reads so many bytes from an address, or fewer, or none."""


class Memory:
    """The memory of a process.

    Raises:
        OSError: it is gone, or may not be read.
    """

    def __init__(self, proc: Path, pid: int) -> None:
        self._descriptor = os.open(proc / str(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)

    def read(self, address: int, size: int) -> bytes:
        """So many bytes; fewer, or none, where nothing is mapped."""
        try:
            return os.pread(self._descriptor, size, address) if 0 < address < 1 << 63 else b""
        except (OSError, OverflowError):
            return b""


def callers(read: Read, process: Process, place: int, stack: int, frame: int = 0) -> list[int]:
    """Where a sleeping thread stands, and the functions that called it, innermost first, as far as they are found.

    The caller of the C library is looked for on the stack: the first word above that a call returns to, in another
    file. Its callers are the next words that a call returns to which goes to a place shortly before where it stands:
    to the beginning of its function. Beyond that, frame pointers are followed, where there are any.

    Args:
        read: reads the process's memory.
        process: its mappings.
        place: address of the instruction.
        stack: its stack pointer.
        frame: its frame pointer; 0: not known.
    """
    found = [place]
    home = process.at(place)
    at = stack
    for number, word in enumerate(_words(read(stack, _DEPTH))):
        mapping = process.at(word)
        if mapping is None or len(found) == _MOST_FRAMES:
            continue
        if home is None or _is_of_c_library(home):
            if (home is not None and mapping.path == home.path) or not _is_return(read, word):
                continue
            home = mapping
        elif not 0 < found[-1] - (_target(read, word) or 0) < _LARGEST_FUNCTION:
            continue
        found.append(word)
        at = stack + number * _WORD
    while len(found) < _MOST_FRAMES and at < frame < at + _LARGEST_FRAME:
        pair = _words(read(frame, 2 * _WORD))
        if len(pair) < 2 or process.at(pair[1]) is None or not _is_return(read, pair[1]):
            break
        at, frame = frame, pair[0]
        if pair[1] != found[-1]:
            found.append(pair[1])
    return found


def placed(addresses: list[int], process: Process) -> Frames:
    """The addresses as places in files."""
    files: dict[File, int] = {}
    places = []
    for address in addresses:
        mapping = process.at(address)
        if mapping is None or not mapping.path:
            places.append((NO_FILE, address))
            continue
        file = File(mapping.path, "", mapping.inode)
        places.append((files.setdefault(file, len(files)), address - mapping.start + mapping.offset))
    return Frames(tuple(files), tuple(places))


def _words(data: bytes) -> tuple[int, ...]:
    return unpack(f"<{len(data) // _WORD}Q", data[: len(data) // _WORD * _WORD])


def _is_of_c_library(mapping: Mapping) -> bool:
    return mapping.path.rsplit("/", 1)[-1].startswith(_C_LIBRARIES)


def _target(read: Read, address: int) -> int | None:
    """Where the call goes that returns to an address, if it goes to a fixed distance; None: elsewhere, or no call."""
    if platform.machine() == "aarch64":
        word = int.from_bytes(read(address - 4, 4), "little")
        distance = (word & 0x03FFFFFF ^ 0x02000000) - 0x02000000
        return address - 4 + 4 * distance if word & 0xFC000000 == 0x94000000 else None
    code = read(address - 5, 5)
    if len(code) < 5 or code[0] != 0xE8:
        return None
    return address + int.from_bytes(code[1:], "little", signed=True)


def _is_return(read: Read, address: int) -> bool:
    """Whether the instruction before an address is a call."""
    if platform.machine() == "aarch64":
        word = int.from_bytes(read(address - 4, 4), "little")
        return word & 0xFC000000 == 0x94000000 or word & 0xFFFFFC1F == 0xD63F0000  # bl, blr
    code = read(address - _CALL_LENGTH, _CALL_LENGTH)
    if len(code) < _CALL_LENGTH:
        return False
    if code[-5] == 0xE8:  # call to a distance
        return True
    # call through a register or memory: 0xFF, and 2 in the middle of the byte after it
    return any(code[-length] == 0xFF and code[1 - length] & 0x38 == 0x10 for length in (2, 3, 4, 6, 7))
