"""CPUs and what waits for them."""

from collections.abc import Mapping
from typing import Any

from kernelsight.events.scheduler import SchedProcess
from kernelsight.query.top import leading
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, number, text


def _context(visit: Visit) -> Mapping[str, Any]:
    by = (SchedProcess.pid, SchedProcess.comm)
    with visit.desk.reader() as reader:
        waits = leading(reader, SchedProcess, SchedProcess.runqueue_ms, by, visit.when, n=15)
        ran = leading(reader, SchedProcess, SchedProcess.cpu_time_ms, by, visit.when, n=15)
    tables = [
        Table(
            title,
            help_text,
            ("Process", "pid", "Time"),
            [
                [
                    text(group.of(SchedProcess.comm), f"/processes/{group.of(SchedProcess.pid)}"),
                    number(group.of(SchedProcess.pid)),
                    amount(group.value, "ms"),
                ]
                for group in groups
                if group.value
            ],
        )
        for title, help_text, groups in (
            ("Waited most for a CPU", "Time in a run queue, of all threads together.", waits),
            ("Ran most", "CPU time in this time.", ran),
        )
    ]
    return {"tables": tables}


page(Page("scheduler", "Scheduler", "/scheduler", context=_context, rank=7))
