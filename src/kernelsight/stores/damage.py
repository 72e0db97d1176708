"""What of a store cannot be read, and what a repair has recovered of it."""

from __future__ import annotations

from dataclasses import dataclass

from kernelsight.moments import to_next_second, to_second


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a table that cannot be read: it is missing from every answer."""

    table: str
    part: str
    """Name of the part in the store."""
    rows: int | None
    """Rows that it held; None: that is not known."""
    first_ns: int | None
    """First and last timestamp that it held; None: it held none, or that is not known."""
    last_ns: int | None
    reason: str

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether it may have held rows of a range of time, bounds inclusive."""
        if self.first_ns is None or self.last_ns is None:
            return False
        return self.last_ns >= start_ns and self.first_ns <= end_ns

    def __str__(self) -> str:
        held = ""
        if self.first_ns is not None and self.last_ns is not None:
            held = f" from {to_second(self.first_ns)} to {to_next_second(self.last_ns)}"
        rows = "rows" if self.rows is None else f"{self.rows:,} rows"
        return f"{self.table}: {rows}{held} cannot be read ({self.part} is damaged: {self.reason})"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one damaged part."""

    part: str
    """Name of the part in the store."""
    rows: int
    """Rows that can be read again."""
    lost: int | None
    """Rows that cannot; None: how many is not known."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of a database, or of a file that was set aside from it."""

    name: str
    """What a person calls it, such as the path of the file."""
    parts: tuple[Recovered, ...] = ()
    """The parts that were damaged; none: nothing was, and nothing was done."""
    kept: str = ""
    """Where what was damaged is kept; empty: nowhere, as nothing of it is lost."""
    beyond_repair: str = ""
    """Why nothing could be recovered, and what else may help, as a sentence; empty: it could."""

    @property
    def is_complete(self) -> bool:
        """Whether no row is lost."""
        return not self.beyond_repair and all(part.lost == 0 for part in self.parts)
