"""How long a store keeps its rows, tier by tier, and how much disk it may take: whichever limit is met first decides.

A store keeps rows in up to three tiers. *Rows* can be asked for by SQL; *columns* are the same rows in a form that is
small and quick to scan; *rollups* are what remains of rows that are gone. Rows go first, columns later, rollups last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kernelsight.events.declare import Kind

_DAY_NS = 86_400 * 10**9

LimitName = Literal["keep_sql", "keep", "keep_rollups", "max_disk"]
EVERY = "*"
"""In place of a table: all tables that have no limit of their own."""
Limit = tuple[str, LimitName]
"""A table or :data:`EVERY`, and which of its limits."""

DEFAULTS: Mapping[LimitName, int] = {
    "keep_sql": 2 * _DAY_NS,
    "keep": 30 * _DAY_NS,
    "keep_rollups": 365 * _DAY_NS,
    "max_disk": 2 * 10**9,
}
"""What ``start`` and ``ingest`` give a store that has no limits: ns, and bytes on disk."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one store; without any, everything is kept for good."""

    values: Mapping[Limit, int | None]
    """ns, or bytes for ``max_disk``; None: no limit."""

    def of(self, kind: Kind, name: LimitName) -> int | None:
        """What holds for a kind: its own limit, else the one of all tables. None: no limit."""
        own = (kind.table, name)
        if own in self.values:
            return self.values[own]
        return None if kind.lasting else self.values.get((EVERY, name))

    @property
    def max_disk(self) -> int | None:
        """Bytes that the whole store may take on disk."""
        return self.values.get((EVERY, "max_disk"))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a store keeps of one table."""

    table: str
    rows: int
    """That SQL sees."""
    bytes: int
    """On disk, of the rows and their indexes."""
    archived_rows: int
    """Rows of which the columns alone are kept."""
    column_bytes: int
    """On disk, of the columns of all rows that have them."""
    rollup_bytes: int
    first_ns: int | None
    """Oldest row of any tier (ns since the epoch)."""
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class Leaving:
    """What goes now."""

    table: str
    what: Literal["rows", "columns", "rows and columns", "rollups"]
    rows: int
    bytes: int
    because: LimitName


@dataclass(frozen=True, slots=True)
class Retained:
    """What a store keeps, under which limits, and what would go if the limits were applied now."""

    limits: Limits
    kept: Sequence[Kept]
    leaving: Sequence[Leaving]
    bytes: int
    """On disk, of the whole store."""
    free_bytes: int
    """Of these, in the store but used by nothing: new rows use them, or they go back to the file system."""
    returns_space: bool
    """Whether free space can go back to the file system while the store is in use."""
    warnings: Sequence[str] = ()
    """What a person should know: a limit that cannot be kept."""
