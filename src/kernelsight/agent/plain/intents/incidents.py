"""What is known to have happened in a time: kills, findings, signals, and programs that were started again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.agent.evidence import evidence_of
from kernelsight.agent.plain.asked import Asked
from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.report import named, plain
from kernelsight.diagnosis.scene import Row
from kernelsight.events.wire import kinds
from kernelsight.query.rows import rows_of

_MOST_LIVES = 8
"""Of a program with more processes in that time, one more is no restart."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened at a moment."""

    at_ns: int
    claim: str
    evidence: tuple[Evidence, ...]
    is_failure: bool = True


def incidents(asked: Asked) -> list[Incident]:
    """What is known to have happened in that time, in its order."""
    found = [*_kills(asked), *_findings(asked), *_signals(asked), *_restarts(asked)]
    if asked.names:
        found = [one for one in found if any(str(name.value) in one.claim for name in asked.names)]
    return sorted(found, key=lambda one: one.at_ns)


def _kills(asked: Asked) -> Iterator[Incident]:
    for row in asked.rows("oom_kill"):
        metric = next((name for name in ("anon_rss_kb", "total_vm_kb") if row[name] is not None), "pid")
        demand = f" when {row['trigger_comm']} asked for memory" if row["trigger_comm"] else ""
        claim = f"the kernel's OOM killer killed {row['comm']} ({row['pid']}){demand}"
        yield Incident(
            stamp(row), claim, (evidence_of("oom_events", metric, "last" if metric != "pid" else "count", [row]),)
        )


def _findings(asked: Asked) -> Iterator[Incident]:
    for finding in asked.diagnosis.present:
        shown = finding.path[0].evidence if finding.path else ()
        before = " (it was there before that time)" if finding.began_before else ""
        if shown:
            claim = f"{plain(finding.fault)} by {named(finding.culprit)} began{before}, {finding.confidence:.0%} sure"
            yield Incident(finding.onset_ns, claim, shown)


def _signals(asked: Asked) -> Iterator[Incident]:
    for row in asked.rows("signal"):
        if row["value"] is not None:
            yield Incident(
                stamp(row),
                f"signal {row['rule']}: {row['summary']}",
                (evidence_of("signals", "value", "last", [row]),),
            )


def _restarts(asked: Asked) -> Iterator[Incident]:
    """A program whose process ended and of which another began later."""
    kind = kinds()["process"]
    if not asked.recorded(kind):
        return
    rows = rows_of(asked.reader, kind, asked.when, columns=["pid", "start_ticks", "comm", "rss_kb", "ppid"])
    if not rows:
        return
    begin, end = stamp(rows[0]), stamp(rows[-1])
    lives: dict[str, dict[object, list[Row]]] = {}
    for row in rows:
        lives.setdefault(str(row["comm"]), {}).setdefault((row["pid"], row["start_ticks"]), []).append(row)
    for comm, processes in lives.items():
        spans = sorted(((stamp(own[0]), stamp(own[-1]), own) for own in processes.values()), key=lambda span: span[0])
        for (_, last, old), (first, _, new) in pairwise(spans):
            if (
                first > last
                and first > begin
                and last < end
                and len(spans) <= _MOST_LIVES
                and first - last <= 60 * 1_000_000_000
            ):
                shown = tuple(
                    evidence_of(kind.table, "rss_kb" if row["rss_kb"] is not None else "pid", "count", [row])
                    for row in (asked.whole_row(kind, old[-1]), asked.whole_row(kind, new[0]))
                )
                yield Incident(
                    first,
                    f"{comm} was started again: process {new[0]['pid']} took the place of {old[0]['pid']}",
                    shown,
                    is_failure=False,
                )


def stamp(row: Row) -> int:
    """When a row was, in ns."""
    return int(str(row["timestamp"]))
