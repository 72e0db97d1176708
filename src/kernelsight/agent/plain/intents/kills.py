"""Which processes the kernel killed because memory ran out, and which process had asked for memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.plain.asked import Asked, intent
from kernelsight.agent.plain.intents.watching import watched
from kernelsight.agent.plain.subjects import Metric
from kernelsight.agent.plain.words import at
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.fields import getter
from kernelsight.events.memory import OomKill
from kernelsight.events.wire import kinds
from kernelsight.quantities import quantity
from kernelsight.query.presence import why_no_rows

_MOST = 10


@intent(
    r"^(?!.*\bhappen\b.*\b(?:before|after)\b).*(?:\boom\b|\bout of memory\b|\bkill\b|\bout memory\b)",
    order=8,
    examples=("any OOM kills?", "who killed postgres?", "what did the OOM killer do today?"),
)
def kills(asked: Asked) -> Iterable[Step]:
    """The kills, the last first; a true no only where somebody watched for them."""
    rows = asked.rows(OomKill)
    processes = asked.of("process")
    own = (
        [row for row in rows if any(getattr(row, name.column) == name.value for name in processes)]
        if processes
        else rows
    )
    groups = asked.of("cgroup")
    if groups:
        own = [row for row in own if any(str(row.cgroup or "").startswith(str(name.value)) for name in groups)]
    if own:
        yield from _told(asked, own)
        return
    whose = f" of {', '.join(name.said for name in asked.names)}" if asked.names else ""
    yield from _none(asked, whose, rows)


def _told(asked: Asked, rows: list[OomKill]) -> Iterator[Step]:
    yes = "Yes: " if asked.is_yes_no else ""
    last = rows[-1]
    if len(rows) > 1:
        count = shown_by(rows, OomKill.total_vm_kb, "count") if _all_known(rows) else None
        first = f"{yes}the kernel's OOM killer killed {len(rows)} processes, the last one {_victim(last)} at {at(last)}"
        yield Step(first, (count,) if count else (_shown(last),))
    for place, row in enumerate(rows[::-1][:_MOST]):
        head = yes if len(rows) == 1 and place == 0 else ""
        held = f"; it held {quantity(row.anon_rss_kb, 'KiB')}" if row.anon_rss_kb is not None else ""
        yield Step(
            f"{head}the kernel's OOM killer killed {_victim(row)} at {at(row)}{_demand(row)}{held}", (_shown(row),)
        )


def _victim(row: OomKill) -> str:
    return f"{row.comm} ({row.pid})"


def _demand(row: OomKill) -> str:
    group = f" in {row.cgroup}" if row.cgroup else ""
    if row.trigger_comm is None:
        return group
    if row.trigger_pid == row.pid:
        return f"{group}, when it asked for more memory itself"
    return f"{group}, when {row.trigger_comm} ({row.trigger_pid}) asked for memory"


def _all_known(rows: list[OomKill]) -> bool:
    return all(row.total_vm_kb is not None for row in rows)


def _shown(row: OomKill) -> Evidence:
    for metric in (OomKill.anon_rss_kb, OomKill.total_vm_kb, OomKill.oom_score_adj):
        if getter(metric)(row) is not None:
            return shown_by([row], metric, "last")
    return shown_by([row], OomKill.pid, "count")


def _none(asked: Asked, whose: str, others: list[OomKill]) -> Iterator[Step]:
    """That there was none, where the kernel's count or the collector shows it."""
    asks_who = re.search(r"\b(?:who|what|which|someone|somebody|anyone|anybody)\b", asked.plain) and not re.search(
        r"\boom\b", asked.plain
    )
    counted = asked.shown(Metric("vm_activity", "oom_kill")) if asked.recorded(kinds()["vmstat"]) else None
    reports = watched(asked, "oom_kill")
    shown = tuple(evidence for evidence in (counted, reports) if evidence is not None)
    if others and asked.names:
        shown = (*(_shown(row) for row in others[-1:]), *shown)
    if counted is not None and counted.value and not others:
        number = quantity(counted.value, "kills")
        yield Step(
            f"{'Yes: ' if asked.is_yes_no and not asked.names else ''}the kernel counted {number} "
            "because memory ran out; their names were not recorded",
            (counted,),
        )
        return
    if not shown or (counted is None and reports is None and not others):
        asked.limits.append(why_no_rows(asked.reader, "oom_events", asked.when))
        return
    if asked.names and asks_who:
        asked.limits.append(
            f"no OOM kill{whose} is recorded in that time, and signals that other processes send are not recorded"
        )
        return
    if asked.names and not asked.of("process") and not asked.of("cgroup"):
        asked.limits.append(f"OOM kills are of processes, and not{whose}")
        return
    yield Step(f"No: there was no OOM kill{whose} in that time", shown)
