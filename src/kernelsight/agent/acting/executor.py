"""From a request to the deed: planned, judged, written down, checked again, done; and undone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.action import Plan, Registered, Request
from kernelsight.agent.acting.age import CLOCK_SET_BACK, age_s
from kernelsight.agent.acting.audit import Ledger, following, new_id, of_plan, of_request, target_of
from kernelsight.agent.acting.policy import MODES, NS_PER_S, Judgement, Policy, judge, registered
from kernelsight.agent.acting.subject import (
    GroupSubject,
    MachineSubject,
    ProcessSubject,
    RefusedError,
    StaleError,
    Subject,
    look,
)
from kernelsight.collectors.base import Host
from kernelsight.events.action import ActionStep, Stage, Verdict

PROPOSAL_LIFE_S = 900.0
"""A proposal that nobody has approved for so long is of a machine that has changed since."""
_TICKS_PER_S = 100  # USER_HZ, in which /proc tells times
_SLACK_S = 1.0
"""Telemetry is stamped with the grid point, up to a second before or after it was read."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """What would be done, and what may become of it."""

    step: ActionStep
    plan: Plan
    judgement: Judgement


class Executor:
    """Takes actions on one machine under one policy, and keeps the books of them."""

    def __init__(self, host: Host, policy: Policy, ledger: Ledger, clock: Callable[[], int] = time.time_ns) -> None:
        self.host = host
        self.policy = policy
        self.ledger = ledger
        self.clock = clock

    # --- before ------------------------------------------------------------------------------------

    def plan(self, request: Request) -> Plan:
        """Work out all that would be written; nothing is.

        Raises:
            RefusedError: it cannot be done, or would not be right.
        """
        action = registered(request.action)
        subject = self._subject(action, request)
        asked = action.parse(request.parameters)
        try:
            steps = tuple(action.plan(self.host, subject, asked, self.policy.rule(action).limits))
        except OSError as error:
            raise RefusedError(f"{action.name} of {subject.name}: {change.explain(error)}") from error
        return Plan(request, subject, asked, steps)

    def propose(self, request: Request) -> Proposed:
        """Plan and judge, and write down either the plan or the refusal.

        Raises:
            RefusedError: it is refused.
            StoreError: it cannot be written down.
        """
        action_id = new_id()
        try:
            plan = self.plan(request)
            judgement = self._judge(plan)
        except RefusedError as error:
            step = of_request(request, action_id, "refused", self.ledger.stamp())
            step.reason = str(error)
            self.ledger.write(step)
            raise
        step = of_plan(plan, action_id, "proposed", self.ledger.stamp())
        step.mode = judgement.mode
        step.reason = "; ".join(text for text in (request.why, judgement.why_not_auto) if text) or None
        [sealed] = self.ledger.write(step)
        return Proposed(sealed, plan, judgement)

    def _judge(self, plan: Plan) -> Judgement:
        now = self.clock()
        return judge(self.policy, plan, self.host, self.ledger.steps(), now)

    def _subject(self, action: Registered, request: Request) -> Subject:
        target = request.target
        if action.targets == ("machine",):
            return MachineSubject()
        if target.kind not in action.targets:
            raise RefusedError(f"{action.name} is for a {' or a '.join(action.targets)}, not for a {target.kind}")
        if target.kind == "cgroup":
            return GroupSubject(target.id)
        return self._process(request)

    def _process(self, request: Request) -> ProcessSubject:
        """The process that is meant, if it is still that one."""
        target = request.target
        if not target.id.isascii() or not target.id.isdigit():
            raise RefusedError(f"{target.id!r} is not a pid")
        process = look(self.host, int(target.id))
        if request.start_ticks is not None and process.start_ticks != request.start_ticks:
            raise StaleError(f"pid {target.id} belongs to another process than the one that was meant")
        if request.seen_ns is not None and self._began_ns(process) > request.seen_ns + _SLACK_S * NS_PER_S:
            raise StaleError(f"pid {target.id} belongs to a process that began after the one that was meant was seen")
        return process

    def _began_ns(self, process: ProcessSubject) -> int:
        """When a process began (ns since the epoch), to a hundredth of a second."""
        boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return boot_ns + process.start_ticks * NS_PER_S // _TICKS_PER_S

    # --- the deed ----------------------------------------------------------------------------------

    def act(self, proposed: Proposed, *, approved: bool = False) -> ActionStep:
        """Do what was proposed, exactly as it was shown, after everything has been looked at again.

        Args:
            proposed: what.
            approved: a person has said so.

        Raises:
            RefusedError: it may not be done (any more), or did not succeed; what was done of it is undone.
            StoreError: it cannot be written down, and was not done.
        """
        with self.ledger.alone():
            return self._act(proposed, approved=approved)

    def _act(self, proposed: Proposed, *, approved: bool) -> ActionStep:
        step = proposed.step
        if approved:
            self._note(step, "approved")
        try:
            self._require_now(proposed, approved=approved)
        except RefusedError as error:
            self._note(step, "refused", reason=str(error))
            raise
        begun = following(step, "begun", self.ledger.stamp(), mode=proposed.judgement.mode)
        self.ledger.decide(step, begun)
        done: list[change.Change] = []
        try:
            for planned in proposed.plan.changes:
                planned.apply(self.host)
                done.append(planned)
        except (RefusedError, OSError) as error:
            why = change.explain(error) if isinstance(error, OSError) else str(error)
            trouble = self._take_back(done)
            self._note(step, "failed", reason="; ".join([f"{planned.text}: {why}", *trouble]))
            raise RefusedError(f"{step.action} of {step.target_name}: {why}; what was done was undone") from error
        return self._note(step, "done", mode=proposed.judgement.mode)

    def _require_now(self, proposed: Proposed, *, approved: bool) -> None:
        """Everything holds at this moment, too: the target, the preconditions, the policy."""
        step, plan = proposed.step, proposed.plan
        now = self.clock()
        if age_s(step, now) == math.inf:
            raise RefusedError(f"{CLOCK_SET_BACK} it was proposed, so how long ago that was is not known")
        if age_s(step, now) > PROPOSAL_LIFE_S:
            raise RefusedError(f"it was proposed more than {PROPOSAL_LIFE_S / 60:.0f} minutes ago")
        if any(other.stage != "proposed" for other in self._since(step) if other.stage != "approved"):
            raise RefusedError("it was decided already")
        fresh = self.plan(replace(plan.request, start_ticks=step.start_ticks))
        judgement = self._judge(fresh if not approved else _as_a_person(fresh))
        needed = "approve" if approved else "auto"
        if MODES.index(judgement.mode) < MODES.index(needed):
            raise RefusedError(f"the policy does not allow it: mode {judgement.mode}. {judgement.why_not_auto}".strip())

    def _since(self, step: ActionStep) -> list[ActionStep]:
        return [other for other in self.ledger.steps_of(str(step.action_id)) if other.timestamp >= step.timestamp]

    def decline(self, step: ActionStep, why: str) -> None:
        """A person has said no.

        Raises:
            RefusedError: it was decided already.
            StoreError: it cannot be written down.
        """
        self.ledger.decide(step, following(step, "declined", self.ledger.stamp(), reason=why))

    # --- afterwards --------------------------------------------------------------------------------

    def verified(self, step: ActionStep, verdict: Verdict, why: str, **measured: object) -> ActionStep:
        """Write down what became of the symptom."""
        return self._note(step, "verified", verdict=verdict, reason=why, **measured)

    def undo(self, action_id: str, why: str, verdict: Verdict | None = None) -> ActionStep:
        """Put back what an action changed, whichever process took it.

        Raises:
            RefusedError: there is nothing that can be put back, or not all of it could be.
            StoreError: it cannot be written down.
        """
        with self.ledger.alone():
            return self._undo(action_id, why, verdict)

    def _undo(self, action_id: str, why: str, verdict: Verdict | None) -> ActionStep:
        steps = self.ledger.steps_of(action_id)
        if not steps:
            raise RefusedError(f"there is no action {action_id!r}")
        stages = {step.stage for step in steps}
        if "begun" not in stages:
            raise RefusedError(f"{action_id} was not done: {steps[-1].stage}")
        if stages & {"undone", "failed"}:
            raise RefusedError(f"{action_id} is undone already")
        begun = next(step for step in steps if step.stage == "begun")
        written = change.decode(begun.changes or "[]")
        if not any(written_change.reversible for written_change in written):
            raise RefusedError(f"{begun.action} cannot be undone")
        trouble = self._take_back([written_change for written_change in written if written_change.reversible])
        if trouble:
            self._note(begun, "undo_failed", reason="; ".join([why, *trouble]), verdict=verdict)
            raise RefusedError("; ".join(trouble))
        return self._note(begun, "undone", reason=why, verdict=verdict)

    def _take_back(self, done: list[change.Change]) -> list[str]:
        """Undo changes, the last first; what could not be put back, a sentence each."""
        trouble = []
        for written in reversed(done):
            try:
                written.undo(self.host)
            except StaleError:
                continue  # with the process went what was set of it
            except RefusedError as error:
                trouble.append(str(error))
            except OSError as error:
                trouble.append(f"{written.text}: cannot be put back: {change.explain(error)}")
        return trouble

    def _note(self, step: ActionStep, stage: Stage, **more: object) -> ActionStep:
        note = following(step, stage, self.ledger.stamp(), **more)
        return self.ledger.write(note)[-1]


def _as_a_person(plan: Plan) -> Plan:
    """Who approves a plan answers for it, as if they had asked for it."""
    return replace(plan, request=replace(plan.request, by="person"))


def recorded(step: ActionStep, executor: Executor) -> Proposed:
    """A proposal as it was recorded, by whichever process.

    Raises:
        RefusedError: it is not one.
    """
    if step.stage != "proposed" or not step.changes or not step.action:
        raise RefusedError(f"{step.action_id} is not a proposal: {step.stage}")
    request = Request(
        action=step.action,
        target=target_of(step),
        by=step.asked_by or "person",
        parameters=msgspec.json.decode(step.parameters or "{}", type=dict[str, object]),
        start_ticks=step.start_ticks,
        diagnosis_id=step.diagnosis_id,
        why=step.reason or "",
    )
    fresh = executor.plan(request)
    plan = replace(fresh, changes=change.decode(step.changes))
    return Proposed(step, plan, Judgement("approve"))
