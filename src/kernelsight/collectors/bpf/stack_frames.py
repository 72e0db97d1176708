"""What stacks of addresses are written down as: places in files, and functions of the kernel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Literal

from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.mappings import Mapping, Mappings
from kernelsight.linux.stacks import NO_FILE, File, Frames

Ends = Literal["whole", "depth", "unmapped", "thinned", "scanned"]

_IS_PLACE = 1  # BPF_STACK_BUILD_ID_VALID
_NEGATIVE = 1 << 63
_MOST_NAMES = 4096
_MOST_FILES = 2048


@dataclass(frozen=True, slots=True)
class Resolved:
    """A stack with its frames named as far as they are now, and why it has no more."""

    frames: Frames
    ends: Ends


class Place:
    """A frame as the kernel found it in a file, by build id."""

    __slots__ = ("build_id", "offset")

    def __init__(self, build_id: bytes, offset: int) -> None:
        self.build_id = build_id.hex()
        self.offset = offset


class UserFrames:
    """Places addresses of programs in files.

    The kernel tells the build id of a file and the place in it at the moment of the sample, whatever becomes of the
    process. /proc/PID/maps tells the path, of files without build id too, while the process lives. A path that is known
    of a build id is told of processes that are gone.
    """

    def __init__(self, proc: Path, most_frames: int) -> None:
        self._mappings = Mappings(proc)
        self._most_frames = most_frames
        self._words = Struct(f"<II{most_frames}Q")
        self._place = Struct("<i20sQ")
        self._paths: OrderedDict[str, File] = OrderedDict()
        self._build_ids: OrderedDict[tuple[str, str], str] = OrderedDict()

    def meet(self, pid: int) -> None:
        """Read the mappings of a process that is new, or executes another program now."""
        self._mappings.read(pid)

    def resolve(self, pid: int, stack: bytes) -> Resolved:
        """The frames of a stack (struct user_stack) of a process."""
        count, places, *addresses = self._words.unpack_from(stack)
        told = self._told(stack, places, count)
        resolved, is_read = self._found(pid, addresses[:count], told)
        numbers: dict[File, int] = {}
        frames: list[tuple[int, int]] = []
        ends: Ends = "depth" if count >= self._most_frames else "whole"
        for address, place, mapping in zip(addresses, told, resolved, strict=False):
            if mapping is None and frames and (is_read or place is None):
                ends = "unmapped"
                break
            file = self._file(place, mapping)
            if file is None:
                frames.append((NO_FILE, address))
                continue
            offset = place.offset if place is not None else address - mapping.start + mapping.offset if mapping else 0
            frames.append((numbers.setdefault(file, len(numbers)), offset))
        return Resolved(Frames(files=tuple(numbers), places=tuple(frames)), ends)

    def _told(self, stack: bytes, places: int, count: int) -> list[Place | None]:
        """The places that the kernel told; none where the second look found another stack than the first."""
        if places != count:
            return [None] * count
        each = self._place.iter_unpack(stack[self._words.size : self._words.size + count * self._place.size])
        # The kernel takes an address that is in no mapping for one before the next (find_vma): negative places.
        return [
            Place(build_id, offset) if status == _IS_PLACE and offset < _NEGATIVE else None
            for status, build_id, offset in each
        ]

    def _found(
        self, pid: int, addresses: Sequence[int], told: Sequence[Place | None]
    ) -> tuple[list[Mapping | None], bool]:
        """The mappings of the addresses, and whether they are those of now; read again where they are older.

        An address without a mapping mostly comes from a chain that broke, and not from a mapping that is new.
        """
        process = self._mappings.of(pid)
        if process is not None:
            frames = [process.at(address) for address in addresses]
            if frames and frames[0] is not None and not any(map(self._differs, told, frames)):
                return frames, True
        process = self._mappings.read(pid)
        if process is None:
            return [None] * len(addresses), False
        frames = [process.at(address) for address in addresses]
        alike = not any(map(self._differs, told, frames))
        return frames if alike else [None] * len(addresses), alike

    def _differs(self, place: Place | None, mapping: Mapping | None) -> bool:
        """Whether another file than that of the place is mapped there now."""
        if place is None or mapping is None:
            return False
        known = self._build_ids.setdefault((mapping.inode, mapping.path), place.build_id)
        while len(self._build_ids) > _MOST_FILES:
            self._build_ids.popitem(last=False)
        return known != place.build_id

    def _file(self, place: Place | None, mapping: Mapping | None) -> File | None:
        if place is None:
            if mapping is None or not mapping.path:
                return None
            return File(mapping.path, self._build_ids.get((mapping.inode, mapping.path), ""), mapping.inode)
        if mapping is None:
            return self._paths.get(place.build_id) or File("", place.build_id)
        file = File(mapping.path, place.build_id, mapping.inode)
        self._paths[place.build_id] = file
        while len(self._paths) > _MOST_FILES:
            self._paths.popitem(last=False)
        return file


class KernelFrames:
    """Names addresses of the kernel, by its own `%pS`: no list of all symbols is read."""

    def __init__(self, loaded: Object, most_frames: int) -> None:
        self._object = loaded
        self._most_frames = most_frames
        self._words = Struct(f"<Q{most_frames}Q")
        self._asked, self._told = loaded.variable("asked"), loaded.variable("told")
        self._ask_for = loaded.variable("ask_for")
        self._at_once = len(self._asked.values)
        self._names: OrderedDict[int, str] = OrderedDict()

    def resolve(self, stack: bytes) -> Resolved:
        """The frames of a stack (struct kernel_stack)."""
        count, *addresses = self._words.unpack_from(stack)
        # But for the first, they are where functions go on: that may be after the end of one that never returns.
        called = [address - (place > 0) for place, address in enumerate(addresses[:count])]
        self._learn(address for address in called if address not in self._names)
        names = tuple(self._names.get(address, hex(address)) for address in called)
        return Resolved(Frames(kernel=names), "depth" if count >= self._most_frames else "whole")

    def _learn(self, addresses: Iterable[int]) -> None:
        for batch in _batches(addresses, self._at_once):
            self._asked.values = (*batch, *[0] * (self._at_once - len(batch)))
            self._ask_for.value = len(batch)
            self._object.run("name_addresses")
            told = self._told.raw
            size = len(told) // self._at_once
            for place, address in enumerate(batch):
                text = told[place * size : (place + 1) * size].split(b"\0", 1)[0].decode("ascii", "replace")
                self._names[address] = _without_size(text)
        while len(self._names) > _MOST_NAMES:
            self._names.popitem(last=False)


def _batches(addresses: Iterable[int], size: int) -> Iterator[list[int]]:
    every = list(dict.fromkeys(addresses))
    return (every[at : at + size] for at in range(0, len(every), size))


def _without_size(text: str) -> str:
    """`function+0x1a [module]` of `function+0x1a/0x40 [module]`."""
    place, space, module = text.partition(" ")
    return place.split("/", 1)[0] + space + module
