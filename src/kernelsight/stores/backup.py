"""What a backup says while it is made or brought back, and when it is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backup or a restoration is."""

    step: str
    """What is done now, for a person."""
    done: int
    """Bytes, or pages where only these are known, of this step."""
    total: int


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A whole backup, or what was brought back from one."""

    path: str
    """Where it is."""
    taken_ns: int
    """The state of the store that it holds (ns since the epoch)."""
    rows: int
    bytes: int
    new_bytes: int
    """Of these, copied by this run; the others were there from an earlier one."""
