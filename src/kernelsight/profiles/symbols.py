"""Names for the frames of stacks, looked for within a time that is bounded."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kernelsight.linux.stacks import NO_FILE, File, Frames
from kernelsight.printable import printable
from kernelsight.profiles.binaries import Binary, debug_file, opened
from kernelsight.profiles.demangle import demangled
from kernelsight.profiles.elf import Elf, Function, unpacked
from kernelsight.profiles.perf_map import PerfMap, perf_map

PATIENCE_S = 5.0
"""How long names are looked for, unless told otherwise."""
_THREAD_STARTS = frozenset(
    {
        "_start", "__libc_start_main", "__libc_start_call_main", "start_thread", "clone", "clone3", "__clone",
        "__clone3", "_dl_start_user", "_dl_start", "thread_start", "main", "runtime.goexit", "runtime.rt0_go",
    }
)  # fmt: skip
"""Functions that a thread begins in: a chain that ends there is whole."""


_OUTERMOST = 3
_MOST_SAID = 20
"""Files and processes without names that are told, those with most places: there may be thousands."""


class Name(NamedTuple):
    """A function as it is shown."""

    function: str
    """Its name, or where it is: `libz.so.1.2.13+0x3a20`. Safe to show."""
    where: str
    """The name of its file, `kernel`, or the kernel's module in brackets."""
    is_known: bool
    """Whether it has a name."""

    @property
    def text(self) -> str:
        """Function and file."""
        return f"{self.function} ({self.where})" if self.is_known and self.where else self.function


class Chain(NamedTuple):
    """A stack with its names, outermost first."""

    names: tuple[Name, ...]
    is_whole: bool
    """Whether it begins where its thread did; else the chain broke, or was cut."""


COMPILED = Name("[code of no file]", "", False)
"""What stands for code that a program made while it ran, and that nobody names."""
BROKEN = Name("[unwound to here]", "", False)
"""What stands for the frames that are missing outside."""


class _Image:
    """One file's functions, and those of the file that has its symbols."""

    def __init__(self, binary: Binary) -> None:
        self._binaries = [binary]
        self._elf = binary.elf
        self._more: list[Elf] | None = None

    def function_at(self, offset: int) -> Function | None:
        address = self._elf.address_of(offset)
        if address is None:
            return None
        function = self._elf.function_at(address)
        if function is not None and function.name:
            return function
        for elf in self._others():
            better = elf.function_at(address)
            if better is not None and better.name:
                return better
        return function

    def _others(self) -> list[Elf]:
        if self._more is None:
            self._more = []
            debug = debug_file(self._elf.build_id)
            if debug is not None:
                self._binaries.append(debug)
                self._more.append(debug.elf)
            small = unpacked(self._elf.packed) if self._elf.packed else None
            self._more += [small] if small is not None else []
        return self._more

    def close(self) -> None:
        for binary in self._binaries:
            binary.close()


class Symbols:
    """Looks for names; each file and each place once.

    Args:
        patience_s: from the first look on; what is not found by then stays without a name, and is told.
        proc: where processes are.
        clock: in seconds.
        seen_ns: when the processes were seen at the latest (ns since the epoch); None: just now.
    """

    def __init__(
        self,
        patience_s: float = PATIENCE_S,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        *,
        seen_ns: int | None = None,
    ) -> None:
        self._proc = proc
        self._seen_ns = seen_ns
        self._clock = clock
        self._until = clock() + patience_s
        self._patience_s = patience_s
        self._images: dict[File, _Image | str] = {}
        self._maps: dict[int, PerfMap | str] = {}
        self._names: dict[tuple[File, int], Name] = {}
        self._unknown: Counter[str] = Counter()
        self._is_late = False

    def close(self) -> None:
        """Close the files."""
        for image in self._images.values():
            if isinstance(image, _Image):
                image.close()
        self._images.clear()

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has no names, and why, a sentence each."""
        late = (f"names were looked for only for {self._patience_s:g} s",) if self._is_late else ()
        said = [sentence for sentence, _ in self._unknown.most_common(_MOST_SAID)]
        more = (f"{len(self._unknown) - len(said):,} more, of fewer places",) if len(self._unknown) > len(said) else ()
        return (*late, *said, *more)

    def kernel(self, frames: Frames) -> tuple[Name, ...]:
        """The functions of a stack of the kernel, outermost first."""
        return tuple(_of_kernel(place) for place in reversed(frames.kernel))

    def user(self, frames: Frames, pid: int | None, ends: str | None) -> Chain:
        """The functions of a stack of a program.

        Args:
            frames: the stack.
            pid: a process that had it.
            ends: why it has no more frames (:class:`kernelsight.events.stack.Stack`).
        """
        names = []
        for place, (file, offset) in enumerate(frames.places):
            # But for the first, they are where functions go on after a call, which may be behind their end.
            at = offset - (place > 0)
            names.append(self._made(pid, at) if file == NO_FILE else self._in_file(frames.files[file], at, pid))
        names.reverse()
        # The C library begins a thread in functions of its own, which may have no symbols.
        whole = ends in {"whole", "scanned"} and any(name.function in _THREAD_STARTS for name in names[:_OUTERMOST])
        return Chain(tuple(names), whole)

    def _in_file(self, file: File, offset: int, pid: int | None) -> Name:
        name = self._names.get((file, offset))
        if name is None:
            name = self._names[file, offset] = self._looked_up(file, offset, pid)
        return name

    def _looked_up(self, file: File, offset: int, pid: int | None) -> Name:
        shown = _shown(file)
        if file.path.startswith(("/memfd:", "/dev/zero", "//anon")):
            return Name(f"{shown}+{offset:#x}", shown, False)
        image = self._image(file, pid)
        if isinstance(image, str):
            return Name(f"{shown}+{offset:#x}", shown, False)
        try:
            function = image.function_at(offset)
        except OSError as error:
            function = None
            self._unknown[f"{shown}: {error.strerror}"] += 1
        if function is not None and function.name:
            return Name(printable(demangled(function.name)), shown, True)
        self._unknown[f"{shown}: it has no symbols for some of its functions; they are named by where they begin"] += 1
        start = function.start if function is not None else None
        return Name(f"{shown}+{offset if start is None else start:#x}", shown, False)

    def _image(self, file: File, pid: int | None) -> _Image | str:
        image = self._images.get(file)
        if image is None:
            if self._clock() > self._until:
                self._is_late = True
                return "late"
            opened_image = opened(file, pid, self._proc)
            image = self._images[file] = opened_image if isinstance(opened_image, str) else _Image(opened_image)
            if isinstance(image, str):
                self._unknown[f"{_shown(file)}: {printable(image)}"] += 1
        return image

    def _made(self, pid: int | None, address: int) -> Name:
        """A function that a program compiled itself."""
        if pid is None:
            return Name(hex(address), "", False)
        if pid not in self._maps:
            self._maps[pid] = perf_map(pid, self._proc, self._seen_ns)
        own_map = self._maps[pid]
        name = None if isinstance(own_map, str) else own_map.name_at(address)
        if name is not None:
            return Name(printable(name), "compiled at run time", True)
        reason = own_map if isinstance(own_map, str) else "its /tmp/perf-PID.map does not name all of its functions"
        self._unknown[f"code of process {pid} that is of no file: {reason}"] += 1
        return COMPILED


def _shown(file: File) -> str:
    if file.path:
        return printable(file.path.removesuffix(" (deleted)").rsplit("/", 1)[-1] or file.path)
    return f"file {file.build_id[:12]}" if file.build_id else "a file"


def _of_kernel(place: str) -> Name:
    function, space, module = place.partition(" ")
    name = function.rsplit("+", 1)[0]
    return Name(printable(demangled(name)), printable(module) if space else "kernel", not name.startswith("0x"))


def with_break(chain: Chain) -> tuple[Name, ...]:
    """The names of a chain, with what stands for the frames that are missing."""
    return chain.names if chain.is_whole else (BROKEN, *chain.names)
