"""The autonomous loop: observe, explain, predict, decide, act or propose, verify, record; and sleep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec

from kernelsight import service_manager
from kernelsight.agent.acting.action import Registered, Request, answers
from kernelsight.agent.acting.audit import new_id
from kernelsight.agent.acting.executor import PROPOSAL_LIFE_S, Executor, Proposed
from kernelsight.agent.acting.policy import NS_PER_S
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.agent.acting.verification import is_our_doing
from kernelsight.agent.consulting import consult
from kernelsight.agent.forecast import forecasts, told
from kernelsight.agent.life_cycle import LifeCycle
from kernelsight.agent.reasoner import Reasoner
from kernelsight.agent.records import News, in_short
from kernelsight.agent.wake import Wake
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Diagnosis, Finding, Proposal
from kernelsight.diagnosis.naming import named
from kernelsight.errors import StoreError
from kernelsight.events.action import Answer, Forecast
from kernelsight.events.process import Process
from kernelsight.memory import give_back
from kernelsight.query.filters import Filter
from kernelsight.query.presence import recorded_since
from kernelsight.query.source import opened
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange

WINDOW_S = 60
LEAST_S = 15
"""Of that, what must have been recorded without a hole up to now for a look to be about it alone."""
FORECAST_S = 600
_SETTLE_S = 4.0
"""After being woken, so long until the telemetry of it is stored: a sample a second, a commit a second."""
_BUSY_S = 10.0
"""Between two looks while something is wrong or an effect is to be verified."""

_UNSURE_LOOKS = 6
"""As often it looks again soon where nothing is known yet, as when everything has just been started."""

Approve = Callable[[Proposed], bool | None]
"""Asks a person: yes, no, or None where nobody is there to be asked now."""


class Loop:
    """Looks, and does what the policy allows."""

    def __init__(
        self,
        executor: Executor,
        say: Callable[[str], None],
        approve: Approve = lambda _: None,
        reasoner: Reasoner | None = None,
    ) -> None:
        """Begin to look after a store.

        Args:
            executor: who acts, and by which policy.
            say: takes a line for a person.
            approve: asks a person.
            reasoner: who is heard about new findings, besides the diagnosis.
        """
        self._reasoner = reasoner
        self._executor = executor
        self._ledger = executor.ledger
        self._say = say
        self._approve = approve
        self._news = News()
        self.verdict: Answer = "unknown"
        """Of the last look; not known where the store could not be read."""
        self._life_cycle = LifeCycle(executor, say)
        self._answered: dict[tuple[object, ...], tuple[float, str | None]] = {}
        self._foreseen: set[tuple[object, ...]] = set()

    def run(self, wake: Wake, interval_s: float) -> None:
        """Look, and sleep, until told to stop; what is not verified by then is undone."""
        patience_s, unsure = 0.0, 0
        reason = ""
        while reason != "stop":
            busy = self.step(recent=True)
            service_manager.alive()
            give_back()
            unsure = unsure + 1 if self.verdict == "unknown" else 0
            busy = busy or 0 < unsure <= _UNSURE_LOOKS
            if busy:
                reason, patience_s = wake.wait(min(interval_s, _BUSY_S), at_least=_SETTLE_S), 0.0
                continue
            # A machine that is busy and well would wake us again and again: each time in vain, sleep longer.
            in_vain = reason not in {"", "timer"}
            patience_s = min(max(2 * patience_s, _SETTLE_S), interval_s) if in_vain else 0.0
            reason = wake.wait(interval_s, at_least=patience_s)
            if reason not in {"stop", "timer"}:
                self._say(f"woken by {reason}")
                reason = "stop" if wake.wait(0.0, at_least=_SETTLE_S) == "stop" else reason
        self._life_cycle.finish()
        self._ledger.deliver()

    def step(self, *, recent: bool = False) -> bool:
        """One look; whether something is wrong, or waits to be verified.

        Args:
            recent: leave out the time before recording began, or began again, so that there is an answer soon after the
                start. The answer names its window, so nothing is claimed of the time before.
        """
        self.verdict = "unknown"
        try:
            waits = self._life_cycle.tend()
            when = self._last(WINDOW_S)
            if recent:
                when = self._since_recorded(when)
            diagnosis = diagnose(self._ledger.db_path, when.start_ns, when.end_ns)
            self._record(diagnosis)
            self.verdict = diagnosis.verdict
            acted = [self._decide(finding) for finding in diagnosis.findings]
            self._ledger.deliver()
        except StoreError as error:
            self._say(str(error))
            return False
        return waits or any(acted) or bool(diagnosis.findings)

    def _since_recorded(self, when: TimeRange) -> TimeRange:
        """The end of a window from where its recording began; all of it where that is too little to judge by."""
        since_ns = recorded_since(self._ledger.db_path, when)
        if since_ns is None or when.end_ns - since_ns < LEAST_S * NS_PER_S:
            return when
        return TimeRange(max(when.start_ns, since_ns - NS_PER_S), when.end_ns)

    def _last(self, seconds: int) -> TimeRange:
        now = self._executor.clock()
        return TimeRange(now - seconds * NS_PER_S, now)

    # --- observe, explain, predict -----------------------------------------------------------------

    def _record(self, diagnosis: Diagnosis) -> None:
        """Write down what is new, and say it."""
        diagnosis_id = new_id()
        new, ahead = self._news.of(diagnosis, diagnosis_id), self._ahead(diagnosis_id)
        if new or ahead:
            self._ledger.write(*new, *ahead)
        for row in new:
            self._say(f"{diagnosis_id}: {in_short(row)}")
        for forecast in ahead:
            self._say(f"{diagnosis_id}: {told(forecast)}")
        if self._reasoner and self._news.begun:
            consult(self._executor, self._reasoner, diagnosis, self._say)

    def _ahead(self, diagnosis_id: str) -> list[Forecast]:
        """What is foreseen to run out, and was not at the last look."""
        with opened(self._ledger.db_path) as reader:
            ahead = forecasts(reader, self._last(FORECAST_S))
        new = [forecast for forecast in ahead if (forecast.resource, forecast.owner) not in self._foreseen]
        self._foreseen = {(forecast.resource, forecast.owner) for forecast in ahead}
        for forecast in new:
            forecast.diagnosis_id = diagnosis_id
        return new

    # --- decide, act or propose --------------------------------------------------------------------

    def _decide(self, finding: Finding) -> bool:
        """Do, or propose, the first of what the finding proposes that is not refused; whether anything was done."""
        if self._executor.policy.mode == "observe" or self._is_in_hand(finding):
            return False
        for action, proposal, asked in answers(finding):
            key = (finding.fault, proposal.target, action.name)
            then, action_id = self._answered.get(key, (-math.inf, None))
            if time.monotonic() - then < PROPOSAL_LIFE_S:
                if action_id and self._waits_for_a_person(action_id):
                    return False
                continue  # refused, declined, or taken in vain
            self._answered[key] = time.monotonic(), None
            try:
                proposed = self._executor.propose(self._request(finding, action, proposal, asked))
                self._answered[key] = time.monotonic(), proposed.step.action_id
                return self._take(proposed)
            except RefusedError as error:
                self._say(f"{action.name} of {named(proposal.target)} refused: {error}")
        return False

    def _waits_for_a_person(self, action_id: str) -> bool:
        return self._ledger.steps_of(action_id)[-1].stage == "proposed"

    def _is_in_hand(self, finding: Finding) -> bool:
        """Whether something is done about it already, or it is what our own action does."""
        for steps in self._life_cycle.open():
            begun = steps[-1]
            if begun.fault == finding.fault or is_our_doing(finding, begun):
                return True
        return False

    def _request(self, finding: Finding, action: Registered, proposal: Proposal, asked: msgspec.Struct) -> Request:
        return Request(
            action=action.name,
            target=proposal.target,
            by="loop",
            parameters=msgspec.to_builtins(asked),
            start_ticks=self._start_ticks(proposal),
            seen_ns=max(e.end_ns for step in finding.path for e in step.evidence),
            diagnosis_id=self._news.name_of(finding),
            finding=finding,
            why=proposal.text,
        )

    def _start_ticks(self, proposal: Proposal) -> int | None:
        """When the process that the telemetry speaks of began, where a sample says so."""
        if proposal.target.kind != "process":
            return None
        when = self._last(WINDOW_S)
        own = [Filter(Process.pid, "=", proposal.target.id)]
        with opened(self._ledger.db_path) as reader:
            last = stored_rows(
                reader, Process, when, where=own, columns=[Process.start_ticks], limit=1, descending=True
            )
        ticks = last[0].start_ticks if last else None
        return ticks if isinstance(ticks, int) else None  # any SQLite client may have stored anything

    def _take(self, proposed: Proposed) -> bool:
        """Act on it, ask about it, or leave it for a person; whether it was done."""
        step, judgement = proposed.step, proposed.judgement
        self._say(f"{step.action_id}: {step.action} of {step.target_name} ({judgement.mode}): {step.reason}")
        for change in proposed.plan.changes:
            self._say(f"  {change.text}")
        if judgement.mode == "auto":
            self._executor.act(proposed)
            return True
        if judgement.mode == "propose":
            return False
        answer = self._approve(proposed)
        if answer is None:
            self._say(f"  `kernelsight agent approve {step.action_id}` does it")
        elif answer:
            self._executor.act(proposed, approved=True)
        else:
            self._executor.decline(step, "a person said no")
        return bool(answer)
