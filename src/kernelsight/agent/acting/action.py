"""What an action is.

One module in :mod:`kernelsight.agent.actions`, found by itself::

    class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        nice: Annotated[int, msgspec.Meta(ge=1, le=19)] = 10

    class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        most: Annotated[int, msgspec.Meta(ge=1, le=19)] = 19

    @action("renice", targets=("process",), asked=Asked, limits=Limits)
    def renice(host: Host, subject: ProcessSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
        '''Give way to others.'''

The function looks at the machine, raises RefusedError where the action would not be right, and yields every write
that the action consists of; it changes nothing. `asked` is what a request may say (and all that it may say),
`limits` what the policy file may bound, both checked by their types. An action answers the proposals of the remedy of
its name (:mod:`kernelsight.diagnosis.remedies`) for targets of its kinds; every other remedy is for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from kernelsight.agent.acting.changes import Change
from kernelsight.agent.acting.subject import RefusedError, Subject
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.model import Entity, Finding, Proposal
from kernelsight.registry import Registry

TargetKind = Literal["process", "cgroup", "machine"]
AskedBy = Literal["loop", "model", "person"]

Planner = Callable[[Host, Any, Any, Any], Iterable[Change]]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no limits."""


@dataclass(frozen=True, slots=True)
class Registered:
    """An action that there is."""

    name: str
    meaning: str
    targets: tuple[TargetKind, ...]
    asked: type[msgspec.Struct]
    limits: type[msgspec.Struct]
    plan: Planner

    def parse(self, parameters: Mapping[str, object]) -> msgspec.Struct:
        """What was asked for, checked.

        Raises:
            RefusedError: it cannot be asked for.
        """
        try:
            return msgspec.convert(dict(parameters), self.asked, strict=False)
        except msgspec.ValidationError as error:
            raise RefusedError(f"{self.name}: {error}") from error

    def answer(self, proposal: Proposal) -> msgspec.Struct | None:
        """What is asked for by a proposal; None if this action is not what it proposes, or not with such parameters."""
        if proposal.action != self.name or proposal.target.kind not in self.targets:
            return None
        given = {
            parameter.name: parameter.value
            for parameter in proposal.parameters
            if parameter.name in self.asked.__struct_fields__
        }
        try:
            return self.parse(given)
        except RefusedError:
            return None


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants an action taken."""

    action: str
    target: Entity
    by: AskedBy
    parameters: Mapping[str, object] = field(default_factory=dict)
    start_ticks: int | None = None
    """When the process that is meant began, where that is known."""
    seen_ns: int | None = None
    """When what is meant was seen last (ns since the epoch): a process that began later is another one."""
    diagnosis_id: str | None = None
    finding: Finding | None = None
    """What it answers."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an action would do, and to whom."""

    request: Request
    subject: Subject
    asked: msgspec.Struct
    changes: tuple[Change, ...]

    @property
    def reversible(self) -> bool:
        """Whether all of it can be put back."""
        return all(change.reversible for change in self.changes)


_ACTIONS: Registry[str, Registered] = Registry("action", "kernelsight.agent.actions")


def action(
    name: str,
    *,
    targets: tuple[TargetKind, ...],
    asked: type[msgspec.Struct] = Nothing,
    limits: type[msgspec.Struct] = Nothing,
) -> Callable[[Planner], Planner]:
    """Register an action by its plan."""

    def declare(plan: Planner) -> Planner:
        if not plan.__doc__:
            raise TypeError(f"action {name} does not say what it does")
        summary = " ".join(plan.__doc__.split())
        _ACTIONS.add(name, Registered(name, summary, targets, asked, limits, plan))
        return plan

    return declare


def actions() -> Mapping[str, Registered]:
    """All actions by name. A new module is found by itself."""
    return _ACTIONS.all()


def answers(finding: Finding) -> list[tuple[Registered, Proposal, msgspec.Struct]]:
    """What can be done about a finding, in the order in which it proposes it."""
    return [
        (action, proposal, asked)
        for proposal in finding.actions
        for action in actions().values()
        if (asked := action.answer(proposal)) is not None
    ]
