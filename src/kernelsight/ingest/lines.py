"""From bytes to lines and objects: where each begins and ends, within bounded memory.

An event is one JSON object on one line. Two deviations are understood: an object spread over several
lines (pretty-printed), which begins where a line begins with ``{``, and several objects on one line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LONGEST_LINE = 1 << 20
"""A longer line is not kept in memory: it is read past and refused."""

LONGEST_RAW = 1024
"""What is kept of a refused line."""

_MOST_JOINED_LINES = 4096
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Oversized:
    """A line that was too long to keep: how it began, and its size in bytes."""

    raw: bytes
    size: int


@dataclass(slots=True)
class Cutter:
    """Cuts what was read at the last newline and keeps the rest for next time."""

    oversized: list[Oversized] = field(default_factory=list)
    _tail: bytearray = field(default_factory=bytearray)
    _skipped: int = 0

    def feed(self, data: bytes) -> bytes:
        """The whole lines that are complete by now, each with its newline."""
        if self._skipped:
            end = data.find(b"\n")
            if end < 0:
                self._skipped += len(data)
                return b""
            self._end_oversized(end)
            data = data[end + 1 :]
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._tail += data
            if len(self._tail) > LONGEST_LINE:
                self._skipped = len(self._tail)
                del self._tail[LONGEST_RAW:]
            return b""
        whole = bytes(self._tail) + data[:cut] if self._tail else data[:cut]
        self._tail = bytearray(data[cut:])
        return whole

    def finish(self) -> bytes:
        """The last line, when the input ends without a newline; it gets one."""
        if self._skipped:
            self._end_oversized(0)
            return b""
        last, self._tail = bytes(self._tail), bytearray()
        return last + b"\n" if last else b""

    @property
    def waiting(self) -> int:
        """Bytes of a line that has not ended yet."""
        return self._skipped or len(self._tail)

    def _end_oversized(self, more: int) -> None:
        self.oversized.append(Oversized(bytes(self._tail[:LONGEST_RAW]), self._skipped + more))
        self._skipped = 0
        self._tail = bytearray()


# A whole string, a bracket, or the quote of a string that the line does not end.
_TOKENS = re.compile(rb'"(?>[^"\\]++|\\.)*+"|[{}\[\]]|"')


@dataclass(slots=True)
class Joiner:
    """Puts an object together that is spread over several lines.

    A line that begins with ``{`` begins an object, so a damaged beginning costs nothing that follows it.
    """

    _lines: list[bytes] = field(default_factory=list)
    _size: int = 0
    _depth: int = 0

    @property
    def waiting(self) -> int:
        """Lines of an object that has not ended yet."""
        return len(self._lines)

    def begin(self, line: bytes) -> bool:
        """Take a line as the beginning of an object, if it is one that has not ended."""
        if not line.startswith(b"{"):
            return False
        depth = _depth_after(line, 0)
        if depth is None or depth <= 0:
            return False
        self._lines, self._size, self._depth = [line], len(line), depth
        return True

    def add(self, line: bytes) -> bytes | None:
        """Add the next line; the whole object when this line ends it.

        Raises:
            ValueError: the object is damaged; :meth:`abandon` gives what there is of it.
        """
        self._lines.append(line)
        self._size += len(line)
        depth = _depth_after(line, self._depth)
        if depth is None or depth < 0:
            raise ValueError("an object over several lines is malformed")
        if self._size > LONGEST_LINE or len(self._lines) > _MOST_JOINED_LINES:
            raise ValueError("an object over several lines does not end")
        self._depth = depth
        return self.abandon() if depth == 0 else None

    def abandon(self) -> bytes:
        """What there is of the object; nothing is kept."""
        text = b"\n".join(self._lines)
        self._lines, self._size, self._depth = [], 0, 0
        return text


def _depth_after(line: bytes, depth: int) -> int | None:
    """Brackets open after a line; None where a string does not end in it (no JSON string spans lines)."""
    for match in _TOKENS.finditer(line):
        token = match[0]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
            if depth < 0:
                return depth
        elif token == b'"':
            return None
    return depth


def split_objects(line: bytes) -> list[bytes]:
    """The objects on one line that has several; an empty list for any other line."""
    parts: list[bytes] = []
    start = depth = 0
    for match in _TOKENS.finditer(line):
        token = match[0]
        if token == b'"':
            break
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
            if depth == 0:
                parts.append(line[start : match.end()].strip())
                start = match.end()
            elif depth < 0:
                return []
    if rest := line[start:].strip():
        parts.append(rest)
    return parts if len(parts) > 1 and all(part.startswith(b"{") for part in parts) else []


def without_mark(line: bytes) -> bytes:
    """A line without a byte order mark before it and white space after it."""
    return line.removeprefix(_BOM).rstrip(b" \t\r")
