"""What becomes of actions after they were taken: verified, kept for a while, undone; whoever took them.

What an action changed stays only if the symptom went, or became less. After a while it is undone even then: what is
still needed will be found again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.age import CLOCK_SET_BACK, age_s
from kernelsight.agent.acting.audit import by_action
from kernelsight.agent.acting.executor import Executor
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.agent.acting.verification import Outcome, due_ns, verify
from kernelsight.events.action import ActionStep, Verdict

_CRASHED_S = 60.0
"""An action that began so long ago and is neither done nor failed was left so by a process that died."""
_OVER = frozenset({"undone", "failed", "undo_failed"})


class LifeCycle:
    """Follows the actions of one store."""

    def __init__(self, executor: Executor, say: Callable[[str], None]) -> None:
        self._executor = executor
        self._say = say

    def open(self) -> Iterator[list[ActionStep]]:
        """The steps of each action that was begun and is not over."""
        for steps in by_action(self._executor.ledger.steps()).values():
            stages = {step.stage for step in steps}
            if "begun" in stages and not stages & _OVER:
                yield steps

    def tend(self) -> bool:
        """Verify what is due, undo what is to be undone; whether anything still waits to be verified."""
        return any([self._one(steps) for steps in self.open()])  # noqa: C419 - each has its turn

    def finish(self) -> None:
        """Nobody will verify what is not verified by now: undo it."""
        for steps in self.open():
            last = steps[-1]
            if last.stage in {"begun", "done"} and not _is_a_persons(last) and self._can_be_undone(last):
                self._undo(last, "nobody is left to see whether it helps", "unknown")

    def _one(self, steps: list[ActionStep]) -> bool:
        executor, last, now = self._executor, steps[-1], self._executor.clock()
        if last.stage == "begun" and age_s(last, now) > _CRASHED_S:
            self._undo(last, "it was begun by a process that did not finish it", "unknown")
        elif _is_a_persons(last):
            return False
        elif last.stage == "verified":
            keep_s = executor.policy.verification.keep_s
            done = next(step for step in steps if step.stage == "begun")
            if keep_s and age_s(done, now) > keep_s and self._can_be_undone(last):
                kept = (
                    f"it was kept for {keep_s:g} s" if age_s(done, now) < math.inf else f"{CLOCK_SET_BACK} it was begun"
                )
                self._undo(last, kept, "better")
        elif last.stage == "done":
            if age_s(last, now) == math.inf:
                self._settle(last, Outcome("unknown", f"{CLOCK_SET_BACK} it was done"))
                return False
            if now < due_ns(last, executor.policy.verification):
                return True
            outcome = verify(executor.ledger.db_path, last, executor.policy.verification, now)
            if outcome is None:
                return True
            self._settle(last, outcome)
        return False

    def _settle(self, done: ActionStep, outcome: Outcome) -> None:
        measured = {"symptom": outcome.symptom, "before": outcome.before, "after": outcome.after}
        self._executor.verified(done, outcome.verdict, outcome.why, **measured)
        self._say(f"{done.action_id}: {done.action} of {done.target_name}: {outcome.verdict}: {outcome.why}")
        if outcome.verdict != "better" and self._can_be_undone(done):
            self._undo(done, f"it did not help: {outcome.why}", outcome.verdict)

    def _undo(self, step: ActionStep, why: str, verdict: Verdict) -> None:
        try:
            self._executor.undo(step.action_id or "", why, verdict)
            self._say(f"{step.action_id}: {step.action} of {step.target_name} undone: {why}")
        except RefusedError as error:
            self._say(f"{step.action_id}: {step.action} of {step.target_name} could not be undone: {error}")

    def _can_be_undone(self, step: ActionStep) -> bool:
        return any(written.reversible for written in change.decode(step.changes or "[]"))


def _is_a_persons(step: ActionStep) -> bool:
    """Whether a person asked for it, who sees for themselves whether it did what they wanted, and for how long."""
    return step.asked_by == "person"
