"""What may be done, by whom, when and how often: the policy, and its judgement of a plan.

The modes, each allowing what the ones before allow:

- ``observe``: nothing is done and nothing proposed (the default);
- ``propose``: what would be written is worked out and recorded;
- ``approve``: and done once a person has said so;
- ``auto``: and done at once, but only by actions that the policy marks with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec

from kernelsight.agent.acting.action import Plan, Registered, Request, actions
from kernelsight.agent.acting.protection import Protection
from kernelsight.agent.acting.subject import RefusedError, Subject
from kernelsight.collectors.base import Host
from kernelsight.events.action import ActionStep
from kernelsight.moments import wall_clock

Mode = Literal["observe", "propose", "approve", "auto"]
MODES: Sequence[Mode] = get_args(Mode)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Sequence[Day] = get_args(Day)
TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NS_PER_S = 1_000_000_000
_HOUR_NS = 3600 * NS_PER_S


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the policy file; a key that is not known is an error, as it may be a misspelt limit."""


class Protected(_Section, frozen=True):
    """Whom nothing is done to, beside those that are always protected."""

    names: tuple[str, ...] = ()
    users: tuple[Count, ...] = ()
    groups: tuple[str, ...] = ()


class Rates(_Section, frozen=True):
    """How often the system acts by itself; what people ask for is not counted."""

    per_hour: Count = 6
    at_once: Count = 2
    """Actions whose effect is not verified yet."""
    same_target_pause_s: Seconds = 900.0
    """So long after an action was undone or did not help, its target is left alone."""


class Verification(_Section, frozen=True):
    """How the effect of an action is judged."""

    settle_s: Seconds = 5.0
    """The telemetry lags by a second or two, and what waited has to run first."""
    observe_s: Seconds = 15.0
    """What is compared with the time before; a diagnosis works from ten seconds on."""
    keep_s: Seconds = 1800.0
    """So long an action that helped is kept, then it is undone: what is still needed is found again. 0: for good."""


class Window(_Section, frozen=True):
    """Hours in which the system may act by itself (local time)."""

    days: tuple[Day, ...] = tuple(DAYS)
    start: TimeOfDay = msgspec.field(name="from", default="00:00")
    end: TimeOfDay = msgspec.field(name="to", default="00:00")
    """Before `from`: on the next day; the same as `from`: the whole day."""

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is within."""
        now = f"{moment.hour:02d}:{moment.minute:02d}"
        today, yesterday = DAYS[moment.weekday()], DAYS[moment.weekday() - 1]
        if self.start < self.end:
            return today in self.days and self.start <= now < self.end
        return (today in self.days and now >= self.start) or (yesterday in self.days and now < self.end)


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What the policy says about one action."""

    limits: msgspec.Struct
    mode: Mode = "approve"
    least_confidence: float = 0.8
    """Of the finding, for acting without a person."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it."""

    mode: Mode = "observe"
    protect: Protected = field(default_factory=Protected)
    rates: Rates = field(default_factory=Rates)
    verification: Verification = field(default_factory=Verification)
    windows: tuple[Window, ...] = ()
    """Hours in which `auto` is what it says; at other times a person is asked. None: always."""
    actions: Mapping[str, ActionRule] = field(default_factory=dict)

    def rule(self, action: Registered) -> ActionRule:
        """What holds for an action, whether the file names it or not."""
        return self.actions.get(action.name) or ActionRule(action.limits())

    def protection(self, host: Host) -> Protection:
        """Whom it protects on a machine."""
        return Protection(host, self.protect.names, self.protect.users, self.protect.groups)

    def mode_of(self, action: Registered, moment: datetime) -> Mode:
        """The mode of an action at a moment: the lesser of the policy's and its own."""
        mode = min(self.mode, self.rule(action).mode, key=MODES.index)
        if mode == "auto" and self.windows and not any(window.holds(moment) for window in self.windows):
            return "approve"
        return mode


@dataclass(frozen=True, slots=True)
class Judgement:
    """What may become of a plan."""

    mode: Mode
    why_not_auto: str = ""
    """Why a person has to be asked although the action may act by itself."""


def judge(policy: Policy, plan: Plan, host: Host, history: Collection[ActionStep], now_ns: int) -> Judgement:
    """What may become of a plan, at this moment.

    Args:
        policy: what holds.
        plan: made just now.
        host: the machine.
        history: the steps of actions of the last hours.
        now_ns: the moment.

    Raises:
        RefusedError: it may not even be proposed; the message says why.
    """
    request = plan.request
    action = registered(request.action)
    require_unprotected(policy, plan.subject, host)
    if request.by != "person":
        _require_finding(request)
    mode = policy.mode_of(action, wall_clock(now_ns))
    if mode == "observe":
        raise RefusedError(f"the policy lets nobody use {action.name} (mode observe)")
    if request.by == "person":
        return Judgement(mode)
    _require_rest(policy, request, history, now_ns)
    if mode != "auto":
        return Judgement(mode)
    doubt = _doubt(policy, action, request, history, now_ns)
    return Judgement("approve", doubt) if doubt else Judgement("auto")


def registered(name: str) -> Registered:
    """An action by its name.

    Raises:
        RefusedError: there is none.
    """
    action = actions().get(name)
    if action is None:
        raise RefusedError(f"there is no action {name!r}; there are {', '.join(actions())}")
    return action


def require_unprotected(policy: Policy, subject: Subject, host: Host) -> None:
    """See to it that nothing is done to who is protected.

    Raises:
        RefusedError: it is.
    """
    if reason := policy.protection(host).why(subject):
        raise RefusedError(reason)


def _require_finding(request: Request) -> None:
    """An action that no person asked for must be proposed by a finding of the diagnosis, for the finding's own target.

    Whatever a model was told, by whatever it read in a process's name, it cannot choose a target or an act.
    """
    finding = request.finding
    if finding is None:
        raise RefusedError(f"no finding of the diagnosis asks for {request.action}")
    action = registered(request.action)
    for proposal in finding.actions:
        if proposal.target == request.target and action.answer(proposal) is not None:
            return
    raise RefusedError(
        f"the finding ({finding.fault} by {finding.culprit.name!r}) does not propose {request.action}"
        f" for {request.target.kind} {request.target.id!r}"
    )


def _require_rest(policy: Policy, request: Request, history: Collection[ActionStep], now_ns: int) -> None:
    """A target that was acted on in vain is left alone for a while."""
    since = now_ns - int(policy.rates.same_target_pause_s * NS_PER_S)
    for step in history:
        same = (step.action, step.target_kind, step.target) == (request.action, request.target.kind, request.target.id)
        if same and step.stage in {"undone", "failed", "declined"} and step.timestamp >= since:
            raise RefusedError(f"{request.action} of {request.target.name} was {step.stage} a short while ago")


def _doubt(policy: Policy, action: Registered, request: Request, history: Collection[ActionStep], now_ns: int) -> str:
    """Why the system should not act by itself just now; empty where it may."""
    assert request.finding is not None
    least = policy.rule(action).least_confidence
    if request.finding.confidence < least:
        return f"the finding is {request.finding.confidence:.0%} sure, and {least:.0%} is asked for"
    begun = [step for step in history if step.stage == "begun" and step.asked_by != "person"]
    if len([step for step in begun if step.timestamp >= now_ns - _HOUR_NS]) >= policy.rates.per_hour:
        return f"{policy.rates.per_hour} actions were taken within the last hour"
    over = {step.action_id for step in history if step.stage in {"verified", "undone", "failed", "undo_failed"}}
    if len([step for step in begun if step.action_id not in over]) >= policy.rates.at_once:
        return f"the effect of {policy.rates.at_once} actions is not verified yet"
    return ""
