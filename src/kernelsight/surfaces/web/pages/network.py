"""Interfaces, TCP and dropped packets."""

from collections.abc import Mapping
from typing import Any

from kernelsight.query.top import top
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, text


def _context(visit: Visit) -> Mapping[str, Any]:
    start, end = visit.when.start_ns, visit.when.end_ns
    with visit.desk.reader() as reader:
        drops = top(reader, "packet_drops", "count", start, end, by=("reason",), n=12, function="sum")
    rows = [[text(drop["reason"]), amount(drop["value"])] for drop in drops]
    drops_table = Table(
        "Packets that the kernel dropped", "By the reason that the kernel gives.", ("Reason", "Packets"), rows
    )
    return {"tables": [drops_table]}


page(Page("network", "Network", "/network", context=_context, rank=5))
