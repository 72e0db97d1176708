"""Functions of an ELF file by where they are in it.

pyelftools reads the headers; the tables of symbols are read whole, by numpy: a hundred thousand symbols take 20 ms. A
name is given only to what lies within a symbol. Elsewhere, as in a stripped program, the start of the function is told
where the file has a table of its functions for unwinding (.eh_frame_hdr), since its samples belong together.

Any user may write a file that is mapped, so nothing in it is believed: sizes are bounded, and what does not go together
is no symbol.
"""

from __future__ import annotations

import io
import lzma
import struct
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # it takes 50 ms, and most diagnoses name no function
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import Section

_MOST_SEGMENTS = 256
_MOST_SECTIONS = 4096
_LARGEST_HEADERS = 8 << 20
"""Bytes that are read for the headers and the names of all sections: a name has no end that the file must keep to."""
_LARGEST_TABLE = 64 << 20
_LARGEST_PACKED = 16 << 20
_FARTHEST = 1 << 40
_LONGEST_NAME = 1024
_FUNCTION, _INDIRECT = 2, 10  # STT_FUNC, STT_GNU_IFUNC
_SYMBOL = {
    64: [("name", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2"), ("value", "u8"), ("size", "u8")],
    32: [("name", "u4"), ("value", "u4"), ("size", "u4"), ("info", "u1"), ("other", "u1"), ("section", "u2")],
}
_TABLE_OF_FUNCTIONS = b"\x01\x1b\x03\x3b"
"""The beginning of an .eh_frame_hdr with a table for binary search, as all linkers write it (LSB, .eh_frame_hdr)."""


class UnreadableError(Exception):
    """The file is no ELF file, or is damaged."""


class Function(NamedTuple):
    """A function, or what is known of it."""

    name: str
    """Empty: it has no symbol."""
    start: int | None
    """Its virtual address in the file; None: not known."""


class _Table(NamedTuple):
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    names: NDArray[np.uint32]
    strings: tuple[int, int]
    """Where the names are in the file, and their size."""


class _Headers:
    """A file as pyelftools reads it (read, seek, tell), which is told to stop where it reads more than headers are."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = _LARGEST_HEADERS
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end.

        Raises:
            UnreadableError: it is too much.
        """
        self._left -= size
        if size < 0 or self._left < 0:
            raise UnreadableError("its headers and the names of its sections are longer than any linker makes them")
        return self._file.read(size)


class Elf:
    """One file, read as far as its functions need it.

    Args:
        file: the file, open for reading; it belongs to the caller, and is read again for each name.

    Raises:
        UnreadableError: it cannot be understood, or not be read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        try:
            from elftools.common.exceptions import ELFError  # noqa: PLC0415 - see above
            from elftools.construct import ConstructError  # noqa: PLC0415
            from elftools.elf.elffile import ELFFile  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise UnreadableError("pyelftools is not installed; scripts/setup.sh installs it") from error
        self._file = file
        try:
            self._read(ELFFile(cast("IO[bytes]", _Headers(file))))
        except (
            ELFError,
            ConstructError,
            ValueError,
            struct.error,
            KeyError,
            IndexError,
            AttributeError,
            TypeError,
            OverflowError,
            OSError,
            MemoryError,
            AssertionError,
        ) as error:  # fmt: skip - what pyelftools raises for files that say nonsense
            raise UnreadableError(str(error)) from error

    def _read(self, elf: ELFFile) -> None:
        if elf.num_segments() > _MOST_SEGMENTS or elf.num_sections() > _MOST_SECTIONS:
            raise UnreadableError("more segments or sections than any linker makes")
        self._order = "<" if elf.little_endian else ">"
        self._segments = [
            (int(each["p_offset"]), int(each["p_filesz"]), int(each["p_vaddr"]))
            for each in elf.iter_segments()
            if each["p_type"] == "PT_LOAD"
        ]
        sections = {each.name: each for each in elf.iter_sections() if each.name.startswith((".", "_"))}
        self.build_id = self._build_id_of(sections.get(".note.gnu.build-id"))
        self._tables = [
            table
            for name in (".symtab", ".dynsym")
            if name in sections and (table := self._symbols(elf, sections[name])) is not None
        ]
        self._starts = self._functions(sections.get(".eh_frame_hdr"))
        packed = sections.get(".gnu_debugdata")
        self.packed = self._bytes(packed, _LARGEST_PACKED) if packed is not None else b""
        """A smaller ELF file with the symbols, compressed by xz (MiniDebugInfo); mostly none."""

    def address_of(self, offset: int) -> int | None:
        """The virtual address of a place in the file; None where it is not mapped."""
        return next(
            (address + offset - start for start, size, address in self._segments if start <= offset < start + size),
            None,
        )

    def function_at(self, address: int) -> Function | None:
        """The function at a virtual address; None where nothing is known of it."""
        for table in self._tables:
            place = int(np.searchsorted(table.starts, address, "right")) - 1
            if place >= 0 and address < int(table.ends[place]):
                name = self._name(table, int(table.names[place]))
                if name:
                    return Function(name, int(table.starts[place]))
        if self._starts is None:
            return None
        place = int(np.searchsorted(self._starts, address, "right")) - 1
        return Function("", int(self._starts[place])) if place >= 0 else None

    def _bytes(self, section: Section, most: int) -> bytes:
        if section["sh_type"] == "SHT_NOBITS" or not 0 < section["sh_size"] <= most:
            return b""
        self._file.seek(section["sh_offset"])
        return self._file.read(section["sh_size"])

    def _build_id_of(self, section: Section | None) -> str:
        """The description of the note of type 3 of `GNU`; empty where there is none."""
        data = self._bytes(section, 256) if section is not None else b""
        if len(data) < 16:
            return ""
        name_size, size, kind = struct.unpack_from(f"{self._order}III", data)
        return data[16 : 16 + size].hex() if (name_size, kind) == (4, 3) else ""

    def _symbols(self, elf: ELFFile, section: Section) -> _Table | None:
        layout = np.dtype([(name, self._order + kind) for name, kind in _SYMBOL[elf.elfclass]])
        data = self._bytes(section, _LARGEST_TABLE)
        symbols = np.frombuffer(data[: len(data) // layout.itemsize * layout.itemsize], dtype=layout)
        kinds = symbols["info"] & 15
        symbols = symbols[((kinds == _FUNCTION) | (kinds == _INDIRECT)) & (symbols["size"] > 0)]
        link = int(section["sh_link"])
        if not len(symbols) or not 0 < link < elf.num_sections():
            return None
        # Of several names for one place, the first in the order of the file after those with a longer reach.
        order = np.lexsort((symbols["size"], symbols["value"]))
        symbols = symbols[order]
        strings = elf.get_section(link)
        if not 0 <= strings["sh_offset"] < _FARTHEST:
            return None
        starts = symbols["value"].astype(np.uint64)
        return _Table(
            starts,
            starts + symbols["size"].astype(np.uint64),
            symbols["name"].astype(np.uint32),
            (int(strings["sh_offset"]), int(strings["sh_size"])),
        )

    def _name(self, table: _Table, at: int) -> str:
        offset, size = table.strings
        if not 0 < at < size:
            return ""
        self._file.seek(offset + at)
        text = self._file.read(min(_LONGEST_NAME, size - at)).split(b"\0", 1)[0]
        return text.decode("utf-8", "backslashreplace").split("@", 1)[0]

    def _functions(self, section: Section | None) -> NDArray[np.uint64] | None:
        """Where functions start, by the table for unwinding: pairs of 32-bit distances from its own address."""
        data = self._bytes(section, _LARGEST_TABLE) if section is not None else b""
        if section is None or not data.startswith(_TABLE_OF_FUNCTIONS) or len(data) < 12:
            return None
        (count,) = struct.unpack_from(f"{self._order}I", data, 8)
        pairs = np.frombuffer(data[12 : 12 + min(8 * count, (len(data) - 12) // 8 * 8)], dtype=f"{self._order}i4")
        starts = pairs[::2].astype(np.int64) + int(section["sh_addr"])
        return np.sort(starts[starts >= 0]).astype(np.uint64)


def unpacked(packed: bytes) -> Elf | None:
    """The ELF file in a section .gnu_debugdata; None where it is damaged, or larger than any is."""
    try:
        data = lzma.LZMADecompressor(memlimit=_LARGEST_TABLE).decompress(packed, _LARGEST_TABLE)
        return Elf(io.BytesIO(data))
    except (lzma.LZMAError, EOFError, UnreadableError):
        return None
