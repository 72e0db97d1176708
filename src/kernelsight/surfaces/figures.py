"""What a store says about the running system: rows, books, collectors, refusals, size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import kind_of
from kernelsight.events.wire import tables
from kernelsight.quantities import quantity
from kernelsight.stores.base import Reader

_RECENT_NS = 60 * 1_000_000_000
"""Before the newest report, those of the same run: each collector reports every ten seconds."""
_BOOKED = ("lines", "stored", "rejected", "dropped", "in_memory", "lost")


@dataclass(frozen=True, slots=True)
class Totals:
    """The books of all kinds together: what became of the lines since the store was made."""

    lines: int = 0
    stored: int = 0
    rejected: int = 0
    dropped: int = 0
    in_memory: int = 0
    lost: int = 0

    def since(self, earlier: Totals) -> Totals:
        """What has been added since; what waits in memory is as it is now."""
        counts = {name: getattr(self, name) - getattr(earlier, name) for name in _BOOKED}
        return Totals(**{**counts, "in_memory": self.in_memory})


def totals(reader: Reader) -> Totals:
    """All accounts together."""
    books = reader.books()
    return Totals(**{name: sum(getattr(book, name) for book in books) for name in _BOOKED})


def collectors(reader: Reader, since_ns: int) -> list[dict[str, Any]]:
    """The last report of each collector that has reported since then, the last one to arrive: the clock may be set."""
    table = kind_of(CollectorReport).table
    relation, params = reader.relation(table, since_ns)
    last: dict[Any, dict[str, Any]] = {}
    for report in reader.query(f"SELECT * FROM {relation} ORDER BY id", params):  # noqa: S608 - made by the store
        last[report["name"]] = report
    return [last[name] for name in sorted(last, key=str)]


def thinned(reader: Reader) -> dict[str, str]:
    """The collectors that sample some seconds alone, by their last reports, each with how many and why."""
    newest_ns = last_report_ns(reader)
    reports = collectors(reader, max(0, newest_ns - _RECENT_NS)) if newest_ns is not None else []
    return {
        str(report["name"]): str(report["reason"] or f"samples one second in {report['sampled_every']}")
        for report in reports
        if (report.get("sampled_every") or 1) > 1
    }


def last_report_ns(reader: Reader) -> int | None:
    """The stamp of the report that arrived last; None where there is none."""
    relation, params = reader.relation(kind_of(CollectorReport).table)
    text = f"SELECT id, timestamp FROM {relation} ORDER BY id DESC LIMIT 1"  # noqa: S608 - made by the store
    stamps = [row["timestamp"] for row in reader.query(text, params)]
    return next((stamp for stamp in stamps if isinstance(stamp, int)), None)


def rows_by_table(reader: Reader) -> list[dict[str, Any]]:
    """Every table of events that has rows: how many, the first and the last."""
    listed = []
    for table in tables():
        bounds = reader.bounds(table)
        if bounds is not None:
            first, last = bounds
            listed.append({"table": table, "rows": reader.count(table), "first_ns": first, "last_ns": last})
    return listed


def human_bytes(size: int | None) -> str:
    """A size for a person; `-` where it is not known."""
    return "-" if size is None else quantity(size, "B")
