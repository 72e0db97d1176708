"""From bytes to lines and objects: where each begins and ends, within bounded memory.

An event is one JSON object on one line. Three deviations are understood: an object spread over several
lines (pretty-printed), which begins where a line begins with ``{``, several objects on one line, and
arrays of objects, on one line or over any number of them.
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
_RECORD_SEPARATOR = b"\x1e"


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

    A line that begins with ``{``, as far to the right as the object that is being put together, begins the
    next one, so a damaged beginning costs nothing that follows it.
    """

    start: bytes = b"{"
    """How a line begins that begins an object."""
    _lines: list[bytes] = field(default_factory=list)
    _size: int = 0
    _depth: int = 0

    @property
    def waiting(self) -> int:
        """Lines of an object that has not ended yet."""
        return len(self._lines)

    def begin(self, line: bytes, indentation: bytes = b"") -> bool:
        """Take a line as the beginning of an object, if it is one that has not ended.

        Args:
            line: from its ``{`` on.
            indentation: what stands before that.
        """
        if not line.startswith(b"{"):
            return False
        depth = _scan(line, 0).depth
        if depth is None or depth <= 0:
            return False
        self._lines, self._size, self._depth, self.start = [line], len(line), depth, indentation + b"{"
        return True

    def add(self, line: bytes, *, in_array: bool = False) -> tuple[bytes, bytes] | None:
        """Add the next line; when it ends the object, the whole object and, in an array, what follows it on the line.

        Raises:
            ValueError: the object is damaged; :meth:`abandon` gives what there is of it.
        """
        scan = _scan(line, self._depth)
        end = scan.end if in_array and scan.end is not None else len(line)
        depth = 0 if end < len(line) else scan.depth
        self._lines.append(line[:end])
        self._size += end
        if depth is None or depth < 0:
            raise ValueError("an object over several lines is malformed")
        if self._size > LONGEST_LINE or len(self._lines) > _MOST_JOINED_LINES:
            raise ValueError("an object over several lines does not end")
        self._depth = depth
        return (self.abandon(), line[end:]) if depth == 0 else None

    def abandon(self) -> bytes:
        """What there is of the object; nothing is kept."""
        text = b"\n".join(self._lines)
        self._lines, self._size, self._depth, self.start = [], 0, 0, b"{"
        return text


@dataclass(frozen=True, slots=True)
class _Scan:
    """Brackets of a piece of a line."""

    depth: int | None
    """Open after it; None where a string does not end in it (no JSON string spans lines)."""
    end: int | None
    """Where the first object ended that was open before it or began in it."""


def _scan(line: bytes, depth: int) -> _Scan:
    end: int | None = None
    for match in _TOKENS.finditer(line):
        token = match[0]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
            if depth == 0 and end is None:
                end = match.end()
            if depth < 0:
                break
        elif token == b'"':
            return _Scan(None, end)
    return _Scan(depth, end)


@dataclass(frozen=True, slots=True)
class ArrayLine:
    """A line of an array: the elements on it, and how it ends."""

    elements: list[bytes]
    unfinished: bytes
    """The beginning of an object that goes on on the next line."""
    indentation: bytes
    """What stands before the unfinished object."""
    is_open: bool
    """Whether the array goes on."""


_GAP = re.compile(rb"[, \t]*")
_OPENS = re.compile(rb"[ \t]*\[[ \t]*(?:\Z|\{)")


def opens_array(line: bytes) -> bool:
    """Whether a line begins an array of objects that may go on on the next one."""
    return _OPENS.match(line) is not None


def split_array(line: bytes, *, begins: bool) -> ArrayLine:
    """Take apart a line of an array; what is no object is an element by itself.

    Args:
        line: the line, or what is left of it behind an object that began on an earlier one.
        begins: the array begins on it.
    """
    elements: list[bytes] = []
    at = line.index(b"[") + 1 if begins else 0
    while (at := _gap_end(line, at)) < len(line):
        if line.startswith(b"]", at):
            rest = line[_gap_end(line, at + 1) :]
            return ArrayLine([*elements, rest] if rest else elements, b"", b"", is_open=False)
        end = _end_of_object(line, at) if line.startswith(b"{", at) else len(line)
        if end is None:
            before = line[:at]
            return ArrayLine(elements, line[at:], before if before.isspace() else b"", is_open=True)
        elements.append(line[at:end])
        at = end
    return ArrayLine(elements, b"", b"", is_open=True)


def _gap_end(line: bytes, at: int) -> int:
    gap = _GAP.match(line, at)
    assert gap is not None
    return gap.end()


def _end_of_object(line: bytes, start: int) -> int | None:
    """Where an object ends that begins there; None where it does not end on the line."""
    depth = 0
    for match in _TOKENS.finditer(line, start):
        token = match[0]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
            if depth == 0:
                return match.end()
        elif token == b'"':
            return None
    return None


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
    """A line without a byte order mark or the record separator of RFC 7464 before it and white space after it."""
    return line.removeprefix(_BOM).removeprefix(_RECORD_SEPARATOR).rstrip(b" \t\r")
