"""Slow system calls, and what their time went to."""

from collections.abc import Mapping
from typing import Any

from kernelsight.events.syscalls import Syscall
from kernelsight.moments import to_second
from kernelsight.query.stored import stored_rows
from kernelsight.query.top import top
from kernelsight.surfaces.web.headline import incident_path
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, number, text

_MOST = 60
_AROUND_NS = 30 * 10**9


def _context(visit: Visit) -> Mapping[str, Any]:
    start, end = visit.when.start_ns, visit.when.end_ns
    with visit.desk.reader() as reader:
        slowest = stored_rows(reader, Syscall, visit.when, limit=_MOST, order_by=Syscall.latency_ns, descending=True)
        by_call = top(reader, "syscall_events", "latency_ns", start, end, by=("syscall_name",), n=12, function="sum")
        by_program = top(reader, "syscall_events", "latency_ns", start, end, by=("comm",), n=12, function="sum")
    slowest.sort(key=lambda call: -(call.latency_ns or 0))
    rows = [
        [
            text(to_second(call.timestamp), incident_path(call.timestamp - _AROUND_NS, call.timestamp + _AROUND_NS)),
            text(call.comm, f"/processes/{call.pid}"),
            number(call.pid),
            text(call.syscall_name),
            amount(call.latency_ns, "ns"),
            amount(call.on_cpu_ns, "ns"),
            amount(call.runqueue_ns, "ns"),
            amount(call.blocked_ns, "ns"),
            amount(call.sleep_ns, "ns"),
        ]
        for call in slowest
    ]
    sums = [
        Table(
            title,
            "Slow calls alone; their time together, and the longest.",
            (head, "Calls", "Together", "Longest"),
            [
                [text(row[column]), amount(row["count"]), amount(row["value"], "ns"), amount(row["max"], "ns")]
                for row in groups
            ],
        )
        for title, head, column, groups in (
            ("By call", "Call", "syscall_name", by_call),
            ("By program", "Program", "comm", by_program),
        )
    ]
    heads = ("Ended", "Process", "pid", "Call", "Took", "On a CPU", "In a run queue", "Blocked", "Asleep")
    calls = Table(
        "Slowest calls",
        "What the time of each call went to: computing, waiting for a CPU, uninterruptible waits, other sleep.",
        heads,
        rows,
    )
    return {"tables": [calls, *sums]}


page(Page("calls", "Slow calls", "/calls", "tables_first.html", context=_context, rank=8))
