"""Rows of a table from the bytes of its leaf pages, where SQLite cannot reach them (sqlite.org/fileformat2.html).

The pages above the leaves only say where they are: a leaf has whole rows with their ids. Everything here is judged by
the bytes alone, which may be damaged: what does not fit is no row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from kernelsight.events.unsigned import wrap_u64
from kernelsight.stores.base import Value

_LEAF = 0x0D
_FIRST_TRUNK = 32
"""Where the header of the file has the first page of the list of free pages."""
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_REAL, _ZERO, _ONE, _BLOB = 7, 8, 9, 12

Cells = list[tuple[int, tuple[Value, ...]]]
"""Id and values of each row; the id's own column is NULL in them."""


class DamagedPageError(ValueError):
    """These bytes are no leaf page with rows."""


class Pages:
    """The pages of a database file, from 1."""

    def __init__(self, content: bytes | memoryview, page_bytes: int) -> None:
        self._content, self._bytes = content, page_bytes
        self.count = len(content) // page_bytes

    def __getitem__(self, number: int) -> bytes:
        if not 1 <= number <= self.count:
            raise DamagedPageError(f"there is no page {number}")
        return bytes(self._content[(number - 1) * self._bytes : number * self._bytes])

    def free(self) -> set[int]:
        """Pages on the list of those that are free, as far as it can be read: what is in them was deleted."""
        free: set[int] = set()
        (trunk,) = struct.unpack_from(">I", self[1], _FIRST_TRUNK)
        while trunk and trunk not in free and trunk <= self.count:
            free.add(trunk)
            page = self[trunk]
            trunk, leaves = struct.unpack_from(">II", page)
            if leaves > self._bytes // 4 - 2:
                break
            free.update(struct.unpack_from(f">{leaves}I", page, 8))
        return free

    def rows(self, number: int) -> Cells:
        """The rows of a leaf page of a table.

        Raises:
            DamagedPageError: it is none.
        """
        page = self[number]
        if page[0] != _LEAF:
            raise DamagedPageError(f"page {number} is no leaf")
        (cells,) = struct.unpack_from(">H", page, 3)
        if not cells or 8 + 2 * cells > len(page):
            raise DamagedPageError(f"page {number} cannot have {cells} rows")
        try:
            return [self._cell(page, start) for start in struct.unpack_from(f">{cells}H", page, 8)]
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise DamagedPageError(f"page {number}: {error}") from error

    def _cell(self, page: bytes, start: int) -> tuple[int, tuple[Value, ...]]:
        size, start = _varint(page, start)
        row_id, start = _varint(page, start)
        if size > len(self._content):
            raise DamagedPageError(f"a row of {size} bytes")
        local = self._local_bytes(size)
        payload = page[start : start + local]
        if local < size:
            (overflow,) = struct.unpack_from(">I", page, start + local)
            payload += b"".join(self._overflow(overflow, size - local))
        if len(payload) < size:
            raise DamagedPageError("a row that is cut off")
        return wrap_u64(row_id), tuple(_values(payload))

    def _local_bytes(self, size: int) -> int:
        """How much of a row is in the leaf itself."""
        most, least = self._bytes - 35, (self._bytes - 12) * 32 // 255 - 23
        if size <= most:
            return size
        local = least + (size - least) % (self._bytes - 4)
        return local if local <= most else least

    def _overflow(self, number: int, size: int) -> Iterator[bytes]:
        while size > 0:
            page = self[number]
            (number,) = struct.unpack_from(">I", page)
            yield page[4 : 4 + size]
            size -= self._bytes - 4


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    number = 0
    for place in range(start, start + 8):
        number = number << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return number, place + 1
    return number << 8 | data[start + 8], start + 9


def _values(payload: bytes) -> Iterator[Value]:
    """The values of a record."""
    header, place = _varint(payload, 0)
    start = header
    while place < header:
        kind, place = _varint(payload, place)
        size = _INTEGER_BYTES.get(kind, 8 if kind == _REAL else max(0, kind - _BLOB) // 2)
        value = payload[start : start + size]
        if len(value) < size:
            raise DamagedPageError("a value that is cut off")
        yield _value(kind, value)
        start += size


def _value(kind: int, value: bytes) -> Value:
    if kind in _INTEGER_BYTES:
        return int.from_bytes(value, "big", signed=True)
    if kind == _REAL:
        real: float = struct.unpack(">d", value)[0]
        return real
    if kind >= _BLOB:
        return value.decode() if kind % 2 else value
    if kind in {_ZERO, _ONE}:
        return kind - _ZERO
    if kind:
        raise DamagedPageError(f"a value of type {kind}")
    return None
