"""From what was read to rows: our own lines many at a time, any other line by itself.

The decoder of our own lines is strict, so whatever it takes is exactly ours. Where it fails, only the
block that holds the failure is gone through line by line.
"""

from __future__ import annotations

import re
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kernelsight.events import wire
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.foreign import Translated, UnusableLineError, as_ours, translate
from kernelsight.ingest.identify import UNKNOWN
from kernelsight.ingest.lines import (
    LONGEST_LINE,
    LONGEST_RAW,
    Cutter,
    Joiner,
    opens_array,
    split_array,
    split_objects,
    without_mark,
)
from kernelsight.ingest.numbers import NumberLengthError, exact_decimal
from kernelsight.ingest.printed import count_losses
from kernelsight.ingest.shapes import Shapes
from kernelsight.ingest.times import Clocks, ReadClocks
from kernelsight.stores.base import Rejected, Row

_BLOCK_LINES = 64
_KEPT_REFUSALS = 200
"""Refused lines kept from one chunk; a flood of garbage is counted, not copied. The store keeps the newest 10,000."""

DEFECT = "defect of the decoder"
"""How the reason begins of a line that was refused because of a mistake in this program."""

# What msgspec raises for bytes that are no JSON of ours: UnicodeDecodeError is a ValueError.
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_OBJECT = msgspec.json.Decoder(float_hook=exact_decimal)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_BATCH = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])
_BATCH_BEGINS = re.compile(rb'\s*\{\s*"(?:metrics|events|records|samples|data)"\s*:\s*\[')
"""An object that holds nothing but an array of events, as Telegraf's batches do."""

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

    def __init__(self, accounts: Accounts, read_clocks: ReadClocks = Clocks.read, shapes: Shapes | None = None) -> None:
        self._accounts = accounts
        self._read_clocks = read_clocks
        self._clocks: Clocks | None = None
        self._cutter = Cutter()
        self._joiner = Joiner()
        self._in_array = False
        decoder = wire.decoder()
        self._decode_lines = decoder.decode_lines
        self._structs: list[Event] = []
        self._rows: defaultdict[type[Event], list[Row]] = defaultdict(list)
        self._shapes = Shapes() if shapes is None else shapes
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
        self._to_rows()
        decoded = Decoded(dict(self._rows), self._rejected, size=size)
        decoded.count = sum(map(len, self._rows.values())) + self._refusals
        for kind, rows in decoded.events.items():
            self._accounts.took(kind, rows)
        self._rows, self._rejected, self._refusals = defaultdict(list), [], 0
        return decoded

    def _to_rows(self) -> None:
        """Make rows of the events so far, in the order in which they came."""
        groups: defaultdict[type[Event], list[Event]] = defaultdict(list)
        for struct in self._structs:
            groups[type(struct)].append(struct)
        if CollectorReport in groups:
            count_losses(self._structs, self._accounts, {kind: len(rows) for kind, rows in self._rows.items()})
        for kind, structs in groups.items():
            self._rows[kind] += map(_astuple, structs)
        self._structs = []

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
                self._mixed_lines(block)

    def _mixed_lines(self, lines: Sequence[bytes]) -> None:
        at = 0
        while at < len(lines):
            if not self._joiner.waiting and not self._in_array:
                at += self._known(lines[at:])
            if at < len(lines):
                self._line(lines[at])
                at += 1

    def _line(self, raw: bytes) -> None:
        line = without_mark(raw)
        if not line.strip():
            self._accounts.blank += 1
        elif self._joiner.waiting and not line.startswith(self._joiner.start):
            self._join(line)
        else:
            if self._joiner.waiting:
                self._refuse_unfinished("an object over several lines does not end")
            pieces = self._record(line)
            if pieces:
                self._accounts.shared += pieces - 1
            else:  # brackets of an array
                self._accounts.blank += 1

    def _record(self, line: bytes) -> int:
        """A line that begins something; the number of its pieces: events, refusals, and an object that goes on."""
        if not self._in_array and line.lstrip().startswith(b"[") and (pieces := self._whole_array(line)):
            return pieces
        if self._in_array or opens_array(line):
            return self._array_line(line)
        try:
            return self._take_events(line)
        except UnusableLineError as error:
            return 1 if self._joiner.begin(line) else self._refuse_or_split(line, error)

    def _whole_array(self, line: bytes) -> int:
        """An array on one line: each element is an event or a refusal; 0 where the line is none."""
        try:
            elements = [bytes(element) for element in _ARRAY.decode(line)]
        except _UNDECODABLE:
            return 0
        return sum(map(self._piece, elements)) if any(element.startswith(b"{") for element in elements) else 0

    def _array_line(self, line: bytes) -> int:
        """A line of an array that takes several: each element is an event or a refusal."""
        parts = split_array(line, begins=not self._in_array)
        self._in_array = parts.is_open
        pieces = sum(map(self._piece, parts.elements))
        if not parts.unfinished:
            return pieces
        if not self._joiner.begin(parts.unfinished, parts.indentation):
            return pieces + self._piece(parts.unfinished)
        return pieces + 1

    def _refuse_or_split(self, line: bytes, error: UnusableLineError) -> int:
        """Refuse a line, or take one by one the objects that share it or that it wraps; the number of pieces."""
        if parts := split_objects(line):
            return sum(map(self._piece, parts))
        if _BATCH_BEGINS.match(line):
            with suppress(*_UNDECODABLE):
                batch = _BATCH.decode(line)
                if len(batch) == 1 and (elements := next(iter(batch.values()))):
                    return sum(self._piece(bytes(element)) for element in elements)
        self._refuse(error.kind, str(error), line, len(line))
        return 1

    def _piece(self, text: bytes) -> int:
        """Take the events of a piece of a line, or refuse it; their number."""
        try:
            return self._take_events(text)
        except UnusableLineError as error:
            self._refuse(error.kind, str(error), text, len(text))
            return 1

    def _known(self, lines: Sequence[bytes]) -> int:
        """Take the events of foreign lines of shapes that came often, up to the first other one; their number."""
        if self._structs:
            self._to_rows()
        return self._shapes.take(lines, self._now(), self._rows, self._accounts.ignored_fields)

    def _now(self) -> Clocks:
        if self._clocks is None:
            self._clocks = self._read_clocks()
        return self._clocks

    def _take_events(self, text: bytes) -> int:
        """Take the events of a line or object, ours, or somebody else's in our words; their number.

        Raises:
            UnusableLineError: it is none.
        """
        if self._known((text,)):
            return 1
        try:
            structs = self._decode_lines(text)
        except _UNDECODABLE:
            structs = [self._foreign(text)]
        self._structs += structs
        return len(structs)

    def _foreign(self, text: bytes) -> Event:
        try:
            line: Any = _OBJECT.decode(text)
        except UnicodeDecodeError:
            raise UnusableLineError("not UTF-8") from None
        except RecursionError:
            raise UnusableLineError("nested too deeply") from None
        except NumberLengthError as error:
            raise UnusableLineError(f"number out of range: {error}") from None
        except msgspec.ValidationError:  # an integer of more digits than Python reads
            raise UnusableLineError("number out of range") from None
        except _UNDECODABLE as error:
            raise UnusableLineError(f"not JSON: {error}") from None
        clocks = self._now()
        if (ours := as_ours(text, line, clocks)) is not None:
            return ours
        translated = _translate(line, clocks)
        if not translated.arrival and not translated.below_zero:
            self._shapes.saw(text, line, translated.kind)
        if translated.ignored:
            self._accounts.ignored_fields[translated.kind.name] += translated.ignored
        if translated.below_zero:
            self._accounts.below_zero[translated.kind.name] += translated.below_zero
        self._accounts.arrivals += translated.arrival
        return translated.event

    def _join(self, line: bytes) -> None:
        try:
            joined = self._joiner.add(line, in_array=self._in_array)
        except ValueError as error:
            self._refuse_unfinished(str(error))
            return
        if joined is None:
            return
        text, rest = joined
        self._accounts.joined += text.count(b"\n")
        self._accounts.shared += self._piece(text) - 1
        if rest.strip():
            self._accounts.shared += self._record(rest)

    def _refuse_unfinished(self, reason: str) -> None:
        text = self._joiner.abandon()
        self._accounts.joined += text.count(b"\n")
        self._refuse(UNKNOWN, f"not JSON: {reason}", text, len(text))

    def _refuse(self, kind: str, reason: str, raw: bytes, size: int) -> None:
        self._refusals += 1
        self._accounts.refused(kind, reason)
        if len(self._rejected) < _KEPT_REFUSALS:
            self._rejected.append(Rejected(time.time_ns(), kind, reason, raw[:LONGEST_RAW], size))


def _translate(line: object, clocks: Clocks) -> Translated:
    """Make an event of a decoded line; a defect of ours costs this line and no other, and says where it is.

    Raises:
        UnusableLineError: it is no event.
    """
    try:
        return translate(line, clocks)
    except UnusableLineError:
        raise
    except Exception as error:  # the reason in the books and on the log shows the defect
        raise UnusableLineError(defect_in(error)) from error


def defect_in(error: Exception) -> str:
    """The reason of a refusal that a mistake in this program causes: what was raised, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{DEFECT}: {type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}; please report it"


def merge(into: dict[type[Event], list[Row]], events: Iterable[tuple[type[Event], list[Row]]]) -> None:
    """Add rows to those of their kind."""
    for struct, rows in events:
        if struct in into:
            into[struct] += rows
        else:
            into[struct] = rows
