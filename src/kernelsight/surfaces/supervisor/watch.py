"""What the running system does, as its own store tells it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from kernelsight.errors import StoreError
from kernelsight.stores.base import Reader, open_reader, store
from kernelsight.surfaces import figures
from kernelsight.surfaces.figures import Totals
from kernelsight.surfaces.verdict import Verdict, latest

_RATE_OVER_S = 5.0
_DETAILS_EVERY_S = 5.0
"""Reports of collectors and verdicts change seldom; reading them is the most part of a look."""
_NS_PER_S = 1_000_000_000
_EARLY_NS = _NS_PER_S
"""Collectors may have said something so long before this began to look."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the system; counts are of this run."""

    seconds: float
    totals: Totals = field(default_factory=Totals)
    per_second: float = 0.0
    size_bytes: int | None = None
    collectors: tuple[dict[str, Any], ...] = ()
    verdict: Verdict | None = None
    """What the agent said last in this run."""

    @property
    def troubles(self) -> str:
        """What did not become a row, in words."""
        parts = {
            "rejected": self.totals.rejected,
            "dropped": self.totals.dropped,
            "lost in the kernel": sum(int(report["lost"] or 0) for report in self.collectors),
        }
        return ", ".join(f"{count:,} {what}" for what, count in parts.items() if count) or "nothing rejected or dropped"


class Watch:
    """Looks at the store, which may not exist yet."""

    def __init__(self, db_path: str) -> None:
        self.db_path = db_path
        self._store = store(db_path)
        self._began = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque([(0.0, 0)])
        self._details_at = -_DETAILS_EVERY_S
        self._collectors: tuple[dict[str, Any], ...] = ()
        self._verdict: Verdict | None = None
        self._reader = _open(db_path)
        self._before = figures.totals(self._reader) if self._reader else Totals()

    def look(self, *, whole: bool = False) -> Figures:
        """Read the figures now; zeros while there is no store to read.

        Args:
            whole: read the collectors' reports and the verdict, too, however fresh those that are known are.
        """
        seconds = time.monotonic() - self._began
        if self._reader is None:
            self._reader = _open(self.db_path)
        if self._reader is None:
            return Figures(seconds)
        if whole or seconds - self._details_at >= _DETAILS_EVERY_S or not self._collectors:
            self._details_at = seconds
            began_ns = time.time_ns() - round(seconds * _NS_PER_S)  # as the clock is now: it may have been set
            self._collectors = tuple(figures.collectors(self._reader, began_ns - _EARLY_NS))
            self._verdict = latest(self._reader, began_ns)
        now = figures.totals(self._reader)
        if now.lines < self._before.lines:  # the file has gone, and a new one was begun
            self._before = Totals()
        totals = now.since(self._before)
        return Figures(
            seconds,
            totals,
            self._rate(seconds, totals.lines),
            size_bytes=self._store.size_bytes(),
            collectors=self._collectors,
            verdict=self._verdict,
        )

    def stored(self) -> tuple[int, int]:
        """All rows of the store, and the tables that have some; (0, 0) without a store."""
        tables = figures.rows_by_table(self._reader) if self._reader else []
        return sum(table["rows"] for table in tables), len(tables)

    def close(self) -> None:
        """Close the store."""
        if self._reader:
            self._reader.close()
            self._reader = None

    def _rate(self, seconds: float, lines: int) -> float:
        self._recent.append((seconds, lines))
        while len(self._recent) > 2 and self._recent[1][0] < seconds - _RATE_OVER_S:
            self._recent.popleft()
        (first_s, first), (last_s, last) = self._recent[0], self._recent[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


def _open(db_path: str) -> Reader | None:
    try:
        return open_reader(db_path)
    except StoreError:
        return None  # not made yet; if it cannot be, the daemon says why
