"""The audit: every step of every action, on disk before what it announces is done."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from kernelsight.agent.acting.action import Plan, Request
from kernelsight.agent.acting.chain import Chain
from kernelsight.agent.acting.changes import encode
from kernelsight.agent.acting.decided import Decided
from kernelsight.agent.acting.seal import Seal
from kernelsight.agent.acting.subject import ProcessSubject
from kernelsight.diagnosis.model import Entity
from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep, Stage
from kernelsight.events.declare import INT64_MAX, Event, kind_of
from kernelsight.events.fields import name_of
from kernelsight.events.wire import decoder
from kernelsight.ingest.deliveries import deliver
from kernelsight.query.rows import event_of, rows
from kernelsight.query.source import AHEAD_NS
from kernelsight.stores.base import Batch, open_writer, store

_NUMBERS = (ActionStep.start_ticks, ActionStep.before, ActionStep.after, ActionStep.sequence)
_STAMP = name_of(ActionStep.timestamp)
HISTORY_NS = 24 * 3600 * 1_000_000_000
"""How far back actions are looked at that may still be open."""


class Ledger:
    """Writes and reads the records of the agent in one store."""

    def __init__(self, db_path: str, clock: Callable[[], int] = time.time_ns, seal: Seal | None = None) -> None:
        self.db_path = db_path
        self._store = store(db_path)
        self.seal = seal or Seal()
        self.chain = Chain(db_path, self.seal)
        self.decided = Decided(self.chain.folder)
        self.clock = clock
        self._last = 0

    def stamp(self) -> int:
        """The time for the next step (ns since the epoch): later than that of the one before, if the clock is."""
        now = self.clock()
        is_set_back = now < self._last - AHEAD_NS
        self._last = now if is_set_back else max(now, self._last + 1)
        return self._last

    def write(self, *events: Event) -> list[ActionStep]:
        """Keep events; when this returns they are on disk.

        Returns:
            the steps among them, sealed, with their places in the chain.

        Raises:
            StoreError: they cannot be kept, and so nothing may be done.
        """
        steps = [event for event in events if isinstance(event, ActionStep)]
        others = [event for event in events if not isinstance(event, ActionStep)]
        if not steps:
            self._keep(others)
            return []
        sealed = self.chain.append(steps, lambda placed: self._keep([*others, *placed]))
        for step in sealed:
            self.decided.follow(step)
        return sealed

    def decide(self, proposal: ActionStep, step: ActionStep) -> ActionStep:
        """Keep the step that decides a proposal, first outside the database, where it is kept once.

        Raises:
            RefusedError: it was decided already, whatever the database says.
            StoreError: it cannot be kept, and so nothing may be done.
        """

        def keep(placed: Sequence[ActionStep]) -> None:
            path = self.decided.decide(proposal, placed[-1])
            try:
                self._keep(placed)
            except StoreError:
                path.unlink()  # nothing was done
                raise

        return self.chain.append([step], keep)[-1]

    def _keep(self, events: Sequence[Event]) -> None:
        if self._store.inbox is not None:
            self._store.inbox.leave(events)
            return
        batch = Batch()
        for event in events:
            batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
        writer = open_writer(self.db_path)
        try:
            writer.write(batch)
        finally:
            writer.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Decide and act while nobody else does: of two who approve one proposal, one finds it decided.

        Raises:
            StoreError: the lock cannot be made.
        """
        with self._store.alone():
            yield

    def deliver(self) -> None:
        """Bring what was written into the tables, unless a daemon does that anyway."""
        if self._store.inbox is not None:
            deliver(self.db_path)

    def steps(self, since_ns: int | None = None) -> list[ActionStep]:
        """Our own steps of actions since a moment (a day ago by default), by time: those that may be acted upon.

        What was decided is among them even where the database has lost it.
        """
        since = self._since(since_ns)
        return _by_time([*self._ours(self.told(since)), *self.remembered(since)])

    def remembered(self, since_ns: int) -> list[ActionStep]:
        """What is kept outside the database of the steps since a moment: decisions and what followed them."""
        if not self.seal.exists or (head := self.chain.head()) is None:
            return []
        return [step for step in self.decided.steps(since_ns) if step.chain == head.chain]

    def told(self, since_ns: int | None = None, **named: str) -> list[ActionStep]:
        """Whatever is recorded of actions, for people; whoever can write to the database may have put it there.

        Args:
            since_ns: the first moment; a day ago by default.
            named: values that columns must have, such as `action_id`.
        """
        since = self._since(since_ns)
        steps = [*self._waiting(named), *self._stored(since, named)]  # in the order in which the writer moves them
        return _by_time(step for step in steps if step.timestamp >= since)

    def steps_of(self, action_id: str) -> list[ActionStep]:
        """Our own steps of one action, however old; none where there is no such action."""
        return _by_time([*self._ours(self.told(0, action_id=action_id)), *self.decided.steps_of(action_id)])

    def _since(self, since_ns: int | None) -> int:
        return self.clock() - HISTORY_NS if since_ns is None else since_ns

    def _ours(self, steps: Iterable[ActionStep]) -> list[ActionStep]:
        return [step for step in steps if self.seal.holds(step)]

    def _stored(self, since_ns: int, named: Mapping[str, str]) -> Iterator[ActionStep]:
        with suppress(StoreError):  # there is no database yet
            for row in rows(self.db_path, kind_of(ActionStep).table, since_ns, INT64_MAX, where=named):
                yield _step_of(row)

    def _waiting(self, named: Mapping[str, str]) -> Iterator[ActionStep]:
        for path in self._store.inbox.waiting() if self._store.inbox else ():
            for event in _lines(path):
                if isinstance(event, ActionStep) and all(getattr(event, key) == name for key, name in named.items()):
                    yield event


def _by_time(steps: Iterable[ActionStep]) -> list[ActionStep]:
    """The steps by time, those that are there twice once."""
    distinct = {msgspec.structs.astuple(step): step for step in steps}
    return sorted(distinct.values(), key=lambda step: (step.timestamp, step.sequence or 0))


def _step_of(row: Mapping[str, Any]) -> ActionStep:
    """The step of a row. Plain SQL can put anything there: what is no step is shown as it stands, and never ours."""
    try:
        return event_of(ActionStep, row)
    except msgspec.ValidationError:
        numbers = {name: row[name] if isinstance(row[name], int | float) else None for name in map(name_of, _NUMBERS)}
        texts = {
            name: None if row[name] is None else str(row[name])
            for name in ActionStep.__struct_fields__
            if name != _STAMP and name not in numbers
        }
        values: dict[str, Any] = {**texts, **numbers, name_of(ActionStep.seal): None}
        return ActionStep(int(row[_STAMP]), **values)


def _lines(path: Path) -> Iterable[Event]:
    try:
        return decoder().decode_lines(path.read_bytes())
    except (OSError, msgspec.MsgspecError):  # taken meanwhile, or not ours
        return []


def new_id() -> str:
    """A name for an action or a diagnosis that a person can type."""
    return secrets.token_hex(4)


def of_request(request: Request, action_id: str, stage: Stage, now_ns: int) -> ActionStep:
    """A step of what somebody asked for."""
    return ActionStep(
        now_ns,
        action_id=action_id,
        stage=stage,
        action=request.action,
        target_kind=request.target.kind,
        target=request.target.id,
        target_name=request.target.name,
        start_ticks=request.start_ticks,
        asked_by=request.by,
        parameters=msgspec.json.encode(dict(request.parameters)).decode(),
        diagnosis_id=request.diagnosis_id,
        fault=request.finding.fault if request.finding else None,
        reason=request.why or None,
    )


def of_plan(plan: Plan, action_id: str, stage: Stage, now_ns: int) -> ActionStep:
    """A step of what was planned: with all that is written."""
    step = of_request(plan.request, action_id, stage, now_ns)
    step.changes = encode(plan.changes)
    step.parameters = msgspec.json.encode(plan.asked).decode()
    if isinstance(plan.subject, ProcessSubject):
        step.start_ticks = plan.subject.start_ticks
        step.target_name = plan.subject.comm
    return step


def following(step: ActionStep, stage: Stage, now_ns: int, **more: object) -> ActionStep:
    """The next step of the same action; what no longer concerns it is left out."""
    return msgspec.structs.replace(
        step,
        timestamp=now_ns,
        stage=stage,
        **{**_UNPLACED, "reason": None, "verdict": None, "symptom": None, "before": None, "after": None, **more},
    )


_UNPLACED: Mapping[str, object] = {"seal": None, "chain": None, "sequence": None, "previous": None}


def target_of(step: ActionStep) -> Entity:
    """Whom an action is about."""
    kind = step.target_kind
    assert kind is not None
    return msgspec.convert(
        {"kind": kind, "id": step.target or "", "name": step.target_name or step.target or ""}, Entity
    )


def by_action(steps: Iterable[ActionStep]) -> dict[str, list[ActionStep]]:
    """The steps by action, in the order in which the actions began."""
    steps_by_action: dict[str, list[ActionStep]] = {}
    for step in steps:
        steps_by_action.setdefault(step.action_id or "", []).append(step)
    return steps_by_action
