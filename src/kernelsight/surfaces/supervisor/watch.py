"""What the running system does, as its own store tells it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from kernelsight.errors import StoreError
from kernelsight.stores.base import Reader, open_reader
from kernelsight.surfaces import figures
from kernelsight.surfaces.figures import Totals

_RATE_OVER_S = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the system; counts are of this run."""

    seconds: float
    totals: Totals = field(default_factory=Totals)
    per_second: float = 0.0
    rows: int = 0
    tables: int = 0
    size_bytes: int | None = None
    collectors: tuple[dict[str, Any], ...] = ()

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
        self._began = time.monotonic()
        self._began_ns = time.time_ns()
        self._recent: deque[tuple[float, int]] = deque([(0.0, 0)])
        self._reader = _open(db_path)
        self._before = figures.totals(self._reader) if self._reader else Totals()

    def look(self) -> Figures:
        """Read the figures now; zeros while there is no store to read."""
        seconds = time.monotonic() - self._began
        if self._reader is None:
            self._reader = _open(self.db_path)
        if self._reader is None:
            return Figures(seconds)
        rows = figures.rows_by_table(self._reader)
        totals = figures.totals(self._reader).since(self._before)
        return Figures(
            seconds,
            totals,
            self._rate(seconds, totals.lines),
            rows=sum(table["rows"] for table in rows),
            tables=len(rows),
            size_bytes=figures.size_bytes(self.db_path),
            collectors=tuple(figures.collectors(self._reader, self._began_ns - 1_000_000_000)),
        )

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
