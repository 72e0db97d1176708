"""Memory."""

from collections.abc import Mapping
from typing import Any

from kernelsight.events.process import Process
from kernelsight.query.top import leading
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, number, text


def _context(visit: Visit) -> Mapping[str, Any]:
    with visit.desk.reader() as reader:
        largest = leading(reader, Process, Process.rss_kb, (Process.pid, Process.comm), visit.when, n=20)
    rows = [
        [
            text(group.of(Process.comm), f"/processes/{group.of(Process.pid)}"),
            number(group.of(Process.pid)),
            amount(group.value, "KiB"),
        ]
        for group in largest
    ]
    table = Table(
        "Largest processes", "By the most resident memory in this time.", ("Process", "pid", "Resident"), rows
    )
    return {"tables": [table]}


page(Page("memory", "Memory", "/memory", context=_context, rank=6))
