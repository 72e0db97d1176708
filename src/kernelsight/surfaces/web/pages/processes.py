"""Processes and groups: who did what, and who waits for whom."""

from collections.abc import Mapping
from typing import Any

from kernelsight.events.process import Process
from kernelsight.query.filters import Filter
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.query.top import leading
from kernelsight.stores.base import Reader
from kernelsight.surfaces.web.endpoint import NotFoundError
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, number, text
from kernelsight.surfaces.web.waits import waits_of, waits_picture

_MOST = 40
_RECENT_NS = 60 * 10**9
_LONGEST_PID = 10


def _processes(visit: Visit) -> Mapping[str, Any]:
    by = (Process.pid, Process.comm)
    with visit.desk.reader() as reader:
        ran = leading(reader, Process, Process.utime_ms, by, visit.when, n=500)
        system = leading(reader, Process, Process.stime_ms, by, visit.when, n=500)
        latest = _latest(reader, visit.when)
        edges = waits_of(reader, visit.when)
    user = {group.of(Process.pid): group for group in ran}
    kernel = {group.of(Process.pid): group.value for group in system}
    used = sorted(
        ((group.value + kernel.get(pid, 0.0), group) for pid, group in user.items()), key=lambda pair: -pair[0]
    )
    rows = [
        [
            text(group.of(Process.comm), f"/processes/{group.of(Process.pid)}"),
            number(group.of(Process.pid)),
            amount(time_ms, "ms"),
            *_levels(latest.get(group.of(Process.pid))),
        ]
        for time_ms, group in used[:_MOST]
    ]
    heads = ("Process", "pid", "CPU time", "Resident", "Threads", "Descriptors", "State", "Group")
    return {
        "tables": [
            Table("Processes", "Those that used most CPU time in this time; levels as they were last.", heads, rows),
            Table(
                "Tree", "Who started whom, as it was last in this time.", ("Process", "pid", "Resident"), _tree(latest)
            ),
        ],
        "picture": waits_picture(edges),
    }


def _latest(reader: Reader, when: TimeRange) -> dict[int | None, Process]:
    recent = TimeRange(max(when.start_ns, when.end_ns - _RECENT_NS), when.end_ns)
    return {row.pid: row for row in stored_rows(reader, Process, recent)}


def _levels(row: Process | None) -> list[Any]:
    if row is None:
        return [amount(None), amount(None), amount(None), text(None), text(None)]
    return [amount(row.rss_kb, "KiB"), amount(row.threads), amount(row.fds), text(row.state), text(row.cgroup)]


def _tree(latest: Mapping[int | None, Process]) -> list[list[Any]]:
    children: dict[int | None, list[Process]] = {}
    for row in latest.values():
        children.setdefault(row.ppid if row.ppid in latest and row.ppid != row.pid else None, []).append(row)
    rows: list[list[Any]] = []
    waiting = [(0, row) for row in sorted(children.get(None, ()), key=lambda row: -(row.pid or 0))]
    seen: set[int | None] = set()
    while waiting and len(rows) < 10 * _MOST:
        depth, row = waiting.pop()
        if row.pid in seen:
            continue
        seen.add(row.pid)
        branch = "\N{NO-BREAK SPACE}" * 3 * min(depth, 12) + ("└ " if depth else "")
        rows.append([text(f"{branch}{row.comm}", f"/processes/{row.pid}"), number(row.pid), amount(row.rss_kb, "KiB")])
        waiting += [(depth + 1, child) for child in sorted(children.get(row.pid, ()), key=lambda row: -(row.pid or 0))]
    return rows


def _process(visit: Visit) -> Mapping[str, Any]:
    given = visit.parameters["pid"]
    if not (given.isascii() and given.isdigit() and len(given) <= _LONGEST_PID):
        raise NotFoundError(f"{given!r} is no pid")
    pid = int(given)
    with visit.desk.reader() as reader:
        rows = stored_rows(
            reader, Process, visit.when, where=[Filter(Process.pid, "=", pid)], limit=1,
            order_by=Process.timestamp, descending=True,
        )  # fmt: skip
        edges = waits_of(reader, visit.when, pid)
    known = rows[0] if rows else None
    facts = [
        [text(name), text(value)]
        for name, value in (
            ("Program", known.exe),
            ("Parent", known.ppid),
            ("User", known.uid),
            ("Nice value", known.nice),
            ("State", known.state),
            ("Control group", known.cgroup),
        )
    ] if known else []  # fmt: skip
    return {
        "of": pid,
        "name": known.comm if known else None,
        "tables": [
            Table(
                "What is known of it",
                "As it was last in this time.",
                ("What", "Value"),
                facts,
                f"No row of process {pid} is in this time: it did not run, did nothing, or was not recorded.",
            ),
            *(
                Table(
                    title,
                    help_text,
                    ("Process", "pid", "Waits in", "Time", "In seconds", "Longest in a second"),
                    [
                        [
                            text(edge.other_comm, f"/processes/{edge.other_pid}" if edge.other_pid else ""),
                            number(edge.other_pid),
                            text(edge.waits_in),
                            amount(edge.wait_ns, "ns"),
                            amount(edge.seconds),
                            amount(edge.longest_ns, "ns"),
                        ]
                        for edge in part
                    ],
                )
                for title, help_text, part in (
                    ("What it waits for", "Whoever woke it, and where it had waited.", edges.of_it),
                    ("Who waits for it", "Those whom it woke.", edges.for_it),
                )
            ),
        ],
        "picture": waits_picture(edges),
    }


page(Page("processes", "Processes", "/processes", "processes.html", context=_processes, rank=3))
page(Page("process", "Process", "/processes/{pid}", "processes.html", context=_process, rank=-1))
