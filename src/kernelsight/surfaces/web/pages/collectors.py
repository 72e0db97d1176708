"""What collects: accounts, losses and cost."""

import time
from collections.abc import Mapping
from typing import Any

from kernelsight.moments import to_second
from kernelsight.stores.base import Value, store
from kernelsight.surfaces import figures
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, text

_RECENT_NS = 3_600 * 10**9


def _context(visit: Visit) -> Mapping[str, Any]:
    with visit.desk.reader() as reader:
        newest_ns = figures.last_report_ns(reader)
        reports = figures.collectors(reader, max(0, newest_ns - _RECENT_NS)) if newest_ns is not None else []
        books = reader.books()
        tables = figures.rows_by_table(reader)
        refusals = reader.refusals(10)
    size = store(visit.desk.db_path).size_bytes()
    old = newest_ns is not None and time.time_ns() - newest_ns > _RECENT_NS
    note = f" The last report is of {to_second(newest_ns)}: nothing collects now." if old and newest_ns else ""
    return {
        "tables": [
            Table(
                "Collectors",
                f"Their last reports.{note} `kernelsight doctor` says what cannot run here and how to enable it.",
                ("Collector", "Source", "Status", "Events", "Missed", "Lost", "Failures", "CPU time of a run", "Why"),
                [
                    [
                        text(report["name"]),
                        text(report["source"]),
                        text(report["status"]),
                        amount(report["events"]),
                        amount(report["missed"]),
                        amount(report["lost"]),
                        amount(report["failures"]),
                        amount(_mean(report["cpu_ns"], report["runs"]), "ns"),
                        text(report["reason"]),
                    ]
                    for report in reports
                ],
                "No collector has reported; `kernelsight start` runs them.",
            ),
            Table(
                "Accounts",
                "What became of the lines: lines = stored + rejected + dropped + in memory.",
                ("Kind", "Lines", "Stored", "Rejected", "Dropped", "In memory", "Lost"),
                [
                    [
                        text(book.kind),
                        *map(amount, (book.lines, book.stored, book.rejected, book.dropped, book.in_memory, book.lost)),
                    ]
                    for book in books
                ],
                "Nothing was stored yet.",
            ),
            Table(
                "Refused lines",
                "Why the daemon refused lines, the most frequent reasons first.",
                ("Kind", "Reason", "Lines"),
                [[text(one.kind), text(one.reason), amount(one.lines)] for one in refusals],
                "None.",
            ),
            Table(
                "Tables",
                f"What is stored: {figures.human_bytes(size)} on disk.",
                ("Table", "Rows", "From", "To"),
                [
                    [
                        text(one["table"]),
                        amount(one["rows"]),
                        text(to_second(one["first_ns"])),
                        text(to_second(one["last_ns"])),
                    ]
                    for one in tables
                ],
                "No table has rows yet; `kernelsight start` fills them.",
            ),
        ]
    }


def _mean(whole: Value, count: Value) -> float | None:
    return whole / count if isinstance(whole, (int, float)) and isinstance(count, (int, float)) and count else None


page(Page("collectors", "Collectors", "/collectors", "tables_only.html", context=_context, rank=12))
