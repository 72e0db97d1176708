"""What waits to be committed: when it is due, and what is given up when there is no room for it.

The buffer is full only while the store cannot be written. Then the input is held back, so that the
collectors wait; only if that lasts is anything dropped: of the events that record single occurrences
the oldest first, then of the samples. Every one is counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kernelsight.events.declare import Event, kind_of
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import Decoded, merge
from kernelsight.ingest.settings import Settings
from kernelsight.stores.base import Batch, Rejected, Row

LARGEST_BATCH_BYTES = 1 << 20
"""Input in one commit while there is more to read: enough to make its cost small, and it still takes
milliseconds."""

_KEPT_REJECTED = 1_000
_SHARE_DROPPED = 4


@dataclass(slots=True)
class Waiting:
    """Events and refusals that are not committed yet."""

    settings: Settings
    accounts: Accounts
    events: dict[type[Event], list[Row]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    count: int = 0
    size: int = 0
    since: float = 0.0
    """When the first of them arrived (monotonic seconds)."""

    def add(self, decoded: Decoded) -> None:
        """Let what a chunk held wait."""
        if not decoded.count:
            return
        if not self.count:
            self.since = time.monotonic()
        merge(self.events, decoded.events.items())
        self.rejected += decoded.rejected
        del self.rejected[:-_KEPT_REJECTED]
        self.count += decoded.count
        self.size += decoded.size

    @property
    def due_at(self) -> float | None:
        """When they are to be committed at the latest; None when nothing waits."""
        return self.since + self.settings.batch_timeout_s if self.count else None

    def is_due(self) -> bool:
        """Whether enough wait, or one has waited long enough."""
        if self.count >= self.settings.batch_size:
            return True
        return bool(self.count) and time.monotonic() >= self.since + self.settings.batch_timeout_s

    def is_full(self) -> bool:
        """Whether there is no room for more."""
        return self.size >= self.settings.buffer_bytes

    def batch(self) -> Batch:
        """All of it, to be committed together, with the books as they will stand then."""
        return Batch(self.events, self.rejected, self.accounts.once_stored(self.events))

    def clear(self) -> None:
        """They are committed."""
        self.events, self.rejected, self.count, self.size = {}, [], 0, 0

    def give_up_oldest(self) -> int:
        """Make room: drop a share of the detail, oldest first, or of the samples where no detail is left."""
        detail = [struct for struct, rows in self.events.items() if rows and kind_of(struct).interval_s is None]
        dropped = 0
        for struct in detail or list(self.events):
            rows = self.events[struct]
            share = -(-len(rows) // _SHARE_DROPPED)
            del rows[:share]
            self.accounts.dropped(struct, share)
            dropped += share
            if not rows:
                del self.events[struct]
        self.size -= self.size * dropped // max(1, self.count)
        self.count -= dropped
        return dropped
