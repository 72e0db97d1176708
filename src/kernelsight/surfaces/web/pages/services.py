"""Services, and what their clients feel."""

from collections.abc import Mapping
from typing import Any

from kernelsight.events.service import ServiceEdge, ServiceStats
from kernelsight.query.stored import stored_rows
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, number, text

_MOST = 40
_ROWS = 100_000


def _context(visit: Visit) -> Mapping[str, Any]:
    with visit.desk.reader() as reader:
        stats = stored_rows(reader, ServiceStats, visit.when, limit=_ROWS)
        edges = stored_rows(reader, ServiceEdge, visit.when, limit=_ROWS)
    by_service: dict[tuple[Any, ...], list[ServiceStats]] = {}
    for row in stats:
        by_service.setdefault((row.protocol, row.address, row.port, row.netns), []).append(row)
    rows = [_service(group) for group in by_service.values()]
    rows.sort(key=lambda cells: cells[0].text)
    by_edge: dict[tuple[Any, ...], list[ServiceEdge]] = {}
    for edge in edges:
        by_edge.setdefault((edge.comm, edge.pid, edge.address, edge.port), []).append(edge)
    clients = sorted(by_edge.values(), key=lambda group: -sum(edge.latency_us or 0 for edge in group))[:_MOST]
    heads = (
        "Service",
        "pid",
        "Address",
        "Requests",
        "Answers",
        "Mean answer",
        "Slowest",
        "Oldest unanswered",
        "Refused",
    )
    return {
        "tables": [
            Table("Services", "Listening sockets and the programs behind them.", heads, rows[:_MOST]),
            Table(
                "Who asks whom",
                "Clients on this machine, by the time that they waited for answers.",
                ("Client", "pid", "Asks", "At", "Requests", "Waited", "Slowest"),
                [_client(group) for group in clients],
            ),
        ]
    }


def _service(group: list[ServiceStats]) -> list[Any]:
    last = group[-1]
    answers = sum(row.latency_count or 0 for row in group)
    spent = sum(row.latency_us or 0 for row in group)
    return [
        text(last.comm, f"/processes/{last.pid}"),
        number(last.pid),
        text(f"{last.protocol} {last.address}:{last.port}"),
        amount(sum(row.requests or 0 for row in group)),
        amount(sum(row.answers or 0 for row in group)),
        amount(spent / answers if answers else None, "us"),
        amount(max((row.latency_max_us or 0 for row in group), default=None), "us"),
        amount(max((row.oldest_unanswered_ms or 0 for row in group), default=None), "ms"),
        amount(sum(row.refused or 0 for row in group)),
    ]


def _client(group: list[ServiceEdge]) -> list[Any]:
    last = group[-1]
    return [
        text(last.comm, f"/processes/{last.pid}" if last.pid else ""),
        number(last.pid),
        text(last.server_comm),
        text(f"{last.address}:{last.port}"),
        amount(sum(edge.requests or 0 for edge in group)),
        amount(sum(edge.latency_us or 0 for edge in group), "us"),
        amount(max((edge.latency_max_us or 0 for edge in group), default=None), "us"),
    ]


page(Page("services", "Services", "/services", context=_context, rank=9))
