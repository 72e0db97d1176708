"""Actions on pages: what the agent proposes, what was done, and what may be decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.audit import Ledger, by_action
from kernelsight.agent.acting.proof import Judge
from kernelsight.events.action import ActionStep
from kernelsight.moments import format_time
from kernelsight.printable import printable
from kernelsight.query.times import TimeRange
from kernelsight.surfaces.web.page import Visit

_MOST = 50


class Step(NamedTuple):
    """One step of an action."""

    time: str
    stage: str
    proof: str
    """Empty where it is proven."""
    reason: str


class Action(NamedTuple):
    """An action with all of its steps."""

    id: str
    title: str
    state: str
    writes: Sequence[str]
    steps: Sequence[Step]
    may_decide: bool
    """It is proposed, and waits for somebody."""
    may_undo: bool


def actions_of(visit: Visit, when: TimeRange | None = None) -> list[Action]:
    """The actions of a time, the newest first."""
    wanted = when or visit.when
    ledger = Ledger(visit.desk.db_path)
    judge = Judge(ledger)
    recorded = judge.completed(ledger.told(wanted.start_ns), ledger.remembered(wanted.start_ns))
    steps = [step for step in recorded if step.timestamp <= wanted.end_ns]
    return [_action(name, its, judge) for name, its in reversed(by_action(steps).items())][:_MOST]


def _action(name: str, steps: Sequence[ActionStep], judge: Judge) -> Action:
    first, last = steps[0], steps[-1]
    proven = all(judge.mark(step) is None for step in steps)
    stages = {step.stage for step in steps}
    writes = next((step.changes for step in steps if step.changes), None)
    told = [
        Step(format_time(step.timestamp), step.stage or "", judge.mark(step) or "", printable(step.reason or ""))
        for step in steps
    ]
    return Action(
        id=printable(name),
        title=printable(f"{first.action} of {first.target_name} ({first.target})"),
        state=last.stage or "",
        writes=[printable(one.text) for one in change.decode(writes)] if writes and proven else [],
        steps=told,
        may_decide=proven and last.stage == "proposed",
        may_undo=proven and "done" in stages and not stages & {"undone", "failed"},
    )
