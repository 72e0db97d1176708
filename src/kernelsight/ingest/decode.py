"""From what was read to rows: our own lines many at a time, any other line by itself.

The decoder of our own lines is strict, so whatever it takes is exactly ours. Where it fails, only the
block that holds the failure is gone through line by line.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kernelsight.events import wire
from kernelsight.events.declare import Event
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.foreign import UnusableLineError, translate
from kernelsight.ingest.identify import UNKNOWN
from kernelsight.ingest.lines import LONGEST_LINE, LONGEST_RAW, Cutter, Joiner, split_objects, without_mark
from kernelsight.ingest.times import Clocks, ReadClocks
from kernelsight.stores.base import Rejected, Row

_BLOCK_LINES = 64
_KEPT_REFUSALS = 200
"""Refused lines kept from one chunk; a flood of garbage is counted, not copied. The store keeps the newest 10,000."""

# What msgspec raises for bytes that are no JSON of ours: UnicodeDecodeError is a ValueError.
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_astuple: Callable[[Event], Row] = msgspec.structs.astuple


@dataclass(slots=True)
class Decoded:
    """What one chunk held."""

    events: dict[type[Event], list[Row]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    count: int = 0
    """Events and refusals."""
    size: int = 0
    """Bytes of the lines."""


class LineDecoder:
    """Decodes a stream of lines and keeps the books of what it read."""

    def __init__(self, accounts: Accounts, read_clocks: ReadClocks = Clocks.read) -> None:
        self._accounts = accounts
        self._read_clocks = read_clocks
        self._clocks: Clocks | None = None
        self._cutter = Cutter()
        self._joiner = Joiner()
        decoder = wire.decoder()
        self._decode_lines = decoder.decode_lines
        self._structs: list[Event] = []
        self._rejected: list[Rejected] = []
        self._refusals = 0

    @property
    def waiting_lines(self) -> int:
        """Lines of an object that has not ended yet; they are in no account."""
        return self._joiner.waiting

    @property
    def inside_line(self) -> bool:
        """Whether the last line read has not ended yet."""
        return self._cutter.waiting > 0

    def feed(self, data: bytes) -> Decoded:
        """Decode what was read; the last line, when unfinished, waits for its end."""
        self._accounts.bytes_read += len(data)
        return self._decode(self._cutter.feed(data))

    def finish(self) -> Decoded:
        """Decode what is left at the end of the input."""
        return self._decode(self._cutter.finish(), last=True)

    def _decode(self, chunk: bytes, *, last: bool = False) -> Decoded:
        self._clocks = None
        for line in self._cutter.oversized:
            self._refuse(UNKNOWN, f"line too long: over {LONGEST_LINE} bytes", line.raw, line.size)
        self._cutter.oversized.clear()
        if chunk and not self._own_lines(chunk):
            self._other_lines(chunk)
        if last and self._joiner.waiting:
            self._refuse_unfinished("an object over several lines does not end")
        return self._take(len(chunk))

    def _take(self, size: int) -> Decoded:
        decoded = Decoded(rejected=self._rejected, size=size)
        decoded.count = len(self._structs) + self._refusals
        groups: defaultdict[type[Event], list[Event]] = defaultdict(list)
        for struct in self._structs:
            groups[type(struct)].append(struct)
        for kind, structs in groups.items():
            rows = decoded.events[kind] = list(map(_astuple, structs))
            self._accounts.took(kind, rows)
        self._structs, self._rejected, self._refusals = [], [], 0
        return decoded

    def _own_lines(self, chunk: bytes) -> bool:
        """Decode whole lines that are all exactly ours, one event a line; otherwise change nothing."""
        if self._joiner.waiting:
            return False
        try:
            structs = self._decode_lines(chunk)
        except _UNDECODABLE:
            return False
        # Seven times faster than chunk.count(b"\n"), which looks at every byte in turn.
        if len(structs) != len(chunk) - len(chunk.replace(b"\n", b"")):
            return False
        self._structs += structs
        return True

    def _other_lines(self, chunk: bytes) -> None:
        lines = chunk.split(b"\n")
        lines.pop()  # every line has its newline
        for start in range(0, len(lines), _BLOCK_LINES):
            block = lines[start : start + _BLOCK_LINES]
            if not self._own_lines(b"\n".join(block) + b"\n"):
                for line in block:
                    self._line(line)

    def _line(self, raw: bytes) -> None:
        line = without_mark(raw)
        if not line.strip():
            self._accounts.blank += 1
        elif self._joiner.waiting and not line.startswith(b"{"):
            self._join(line)
        else:
            if self._joiner.waiting:
                self._refuse_unfinished("an object over several lines does not end")
            self._record(line)

    def _record(self, line: bytes) -> None:
        """A line that begins something."""
        try:
            self._structs += self._events_on(line)
        except UnusableLineError as error:
            if not self._joiner.begin(line):
                self._accounts.shared += self._refuse_or_split(line, error)

    def _refuse_or_split(self, line: bytes, error: UnusableLineError) -> int:
        """Refuse a line, or take one by one the objects that share it; the number of objects beyond the first."""
        parts = split_objects(line)
        if not parts:
            self._refuse(error.kind, str(error), line, len(line))
        for part in parts:
            try:
                self._structs += self._events_on(part)
            except UnusableLineError as part_error:
                self._refuse(part_error.kind, str(part_error), part, len(part))
        return max(0, len(parts) - 1)

    def _events_on(self, text: bytes) -> list[Event]:
        """The events of a line or object: ours, or somebody else's in our words.

        Raises:
            UnusableLineError: it is none.
        """
        try:
            structs = self._decode_lines(text)
        except _UNDECODABLE:
            return [self._foreign(text)]
        self._accounts.shared += max(0, len(structs) - 1)
        return structs

    def _foreign(self, text: bytes) -> Event:
        try:
            line: Any = msgspec.json.decode(text)
        except UnicodeDecodeError:
            raise UnusableLineError("not UTF-8") from None
        except RecursionError:
            raise UnusableLineError("nested too deeply") from None
        except _UNDECODABLE as error:
            raise UnusableLineError(f"not JSON: {error}") from None
        if self._clocks is None:
            self._clocks = self._read_clocks()
        translated = translate(line, self._clocks)
        if translated.ignored:
            self._accounts.ignored_fields[translated.kind.name] += translated.ignored
        self._accounts.arrivals += translated.arrival
        return translated.event

    def _join(self, line: bytes) -> None:
        try:
            text = self._joiner.add(line)
        except ValueError as error:
            self._refuse_unfinished(str(error))
            return
        if text is None:
            return
        self._accounts.joined += text.count(b"\n")
        try:
            self._structs += self._events_on(text)
        except UnusableLineError as error:
            self._refuse(error.kind, str(error), text, len(text))

    def _refuse_unfinished(self, reason: str) -> None:
        text = self._joiner.abandon()
        self._accounts.joined += text.count(b"\n")
        self._refuse(UNKNOWN, f"not JSON: {reason}", text, len(text))

    def _refuse(self, kind: str, reason: str, raw: bytes, size: int) -> None:
        self._refusals += 1
        self._accounts.refused(kind, reason)
        if len(self._rejected) < _KEPT_REFUSALS:
            self._rejected.append(Rejected(time.time_ns(), kind, reason, raw[:LONGEST_RAW], size))


def merge(into: dict[type[Event], list[Row]], events: Iterable[tuple[type[Event], list[Row]]]) -> None:
    """Add rows to those of their kind."""
    for struct, rows in events:
        if struct in into:
            into[struct] += rows
        else:
            into[struct] = rows
