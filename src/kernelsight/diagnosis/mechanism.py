"""What a mechanism is: a way in which a fault comes about, told in three parts that nothing else adds to.

1. *measure* reads a window and yields a measurement for each suspect: a frozen dataclass of numbers and facts.
2. *checks* judge a measurement. They are data: what each says, how much it counts, why, and from which threshold on.
3. *explain* says what follows if it is so: culprit, onset, victims, path, remedies. It decides nothing.

One module a mechanism in :mod:`kernelsight.diagnosis.mechanisms`, found by itself; a class of faults may have many::

    MECHANISM = Mechanism[Throttled](
        fault=CPU_THROTTLING,
        summary="A control group uses up its quota and waits for the next period, again and again.",
        measure=measure,
        checks=(
            Check(
                id="hit_often",
                says="it was throttled in a good part of its periods",
                holds=lambda group: group.hit_share >= HIT_SHARE,
                supports=3.0,
                refutes=3.0,
                because="...",
            ),
        ),
        explain=explain,
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Generic, TypeVar

from kernelsight.diagnosis.candidate import Candidate, Outcome
from kernelsight.diagnosis.fault import FaultClass
from kernelsight.diagnosis.model import Entity, Evidence, Proposal, Step
from kernelsight.diagnosis.threshold import Threshold, used_by
from kernelsight.diagnosis.window import Window

_HERE = "kernelsight.diagnosis."

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[M_contra]):
    """One test of a measurement.

    Raises:
        TypeError: it has no reason, counts against its own sense, or compares with a number that has no name.
    """

    id: str
    """Its name within the mechanism."""
    says: str
    """What holds if it holds, in one line; ``{name}`` and ``{name:.0f}`` stand for attributes of the measurement."""
    holds: Callable[[M_contra], bool | None]
    """Whether it does; None: it does not apply to this measurement, and counts for nothing."""
    supports: float
    """What it adds to the log-odds when it holds, in nats."""
    refutes: float
    """What it takes from the log-odds when it fails, in nats."""
    because: str
    """Why it tells the fault from others and why it counts so much, with the source."""

    def __post_init__(self) -> None:
        if not self.because.strip():
            raise TypeError(f"{self.id}: a check needs a reason")
        if self.supports < 0 or self.refutes < 0 or not self.supports + self.refutes:
            raise TypeError(f"{self.id}: a check supports when it holds and refutes when it fails, and one at least")
        if unnamed := sorted(used_by(self.holds, self.holds.__module__).numbers - {0, 1}):
            raise TypeError(f"{self.id}: {unnamed[0]:g} is a threshold; give it a name, a unit and a reason")

    def outcome(self, measurement: M_contra) -> Outcome | None:
        """What it says of a measurement; None where it does not apply."""
        holds = self.holds(measurement)
        if holds is None:
            return None
        says = self.says.format_map(_Attributes(measurement))
        return Outcome(says, bool(holds), self.supports, self.refutes, self.id)

    @property
    def thresholds(self) -> Sequence[tuple[str, Threshold]]:
        """The thresholds that it compares with, by their names."""
        return used_by(self.holds, self.holds.__module__).thresholds


@dataclass(frozen=True, slots=True)
class Prior:
    """How much likelier a mechanism is than another whose symptom is there, before any check, and why."""

    odds: float = 0.0
    """Nats of log-odds."""
    because: str = ""

    def __post_init__(self) -> None:
        if self.odds and not self.because.strip():
            raise TypeError("a prior needs a reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What follows if a measurement is what its mechanism says."""

    culprit: Entity
    onset_ns: int
    victims: tuple[Entity, ...] = ()
    suffering_s: float
    """Seconds of waiting that it explains, within the window."""
    does: str
    """What the culprit does, as a verb phrase (:mod:`kernelsight.diagnosis.phrases`): `uses 1.9 CPUs`."""
    detail: str = ""
    """What shows it or goes with it, in a few words: `988 of 1,024 descriptors`."""
    harm: str
    """What that is to the first victim, as a verb phrase: `waits 400 ms of every second for a CPU`. Where it is empty
    or nobody is known to suffer, the outlook is said instead."""
    path: tuple[Step, ...]
    """From who suffers to the culprit; without any, it is never a finding."""
    refuted_by: str
    """What would show that this is wrong."""
    outlook: str
    """What happens if nothing is done."""
    actions: tuple[Proposal, ...]
    fellows: tuple[Entity, ...] = ()
    """Others of the culprit's kind that do the same together with it."""
    is_idle: bool = False
    """The culprit sleeps, and wants no CPU: that others take the CPUs from it is not why."""

    def __post_init__(self) -> None:
        """Refuse what would leave the first sentence of a report without its verb.

        Raises:
            TypeError: nothing is said of what the culprit does.
        """
        if not self.does:
            raise TypeError(f"an explanation says what {self.culprit.name} does")


@dataclass(frozen=True, kw_only=True)
class Mechanism(Generic[M]):
    """A way in which a fault comes about: measured, checked, explained.

    Raises:
        TypeError: two checks have one id.
    """

    fault: FaultClass
    summary: str
    """What happens, in a sentence."""
    measure: Callable[[Window], Iterable[M]]
    """A measurement for each suspect of a window: all that the checks and the explanation need to know of it."""
    checks: tuple[Check[M], ...]
    explain: Callable[[Window, M], Explanation]
    prior: Prior = field(default_factory=Prior)
    name: str = ""
    """Of the module that declares it; the registry says it."""

    def __post_init__(self) -> None:
        ids = [check.id for check in self.checks]
        if len({*ids}) != len(ids):
            raise TypeError(f"{self.fault.name}: two checks of a mechanism have one id")

    @property
    def thresholds(self) -> Sequence[tuple[str, Threshold]]:
        """The thresholds by which it finds and measures suspects, checks them, and says who suffers; by their names."""
        found = [*used_by(self.measure, _HERE).thresholds, *used_by(self.explain, _HERE).thresholds]
        found += [threshold for check in self.checks for threshold in check.thresholds]
        return sorted({id(threshold): (name, threshold) for name, threshold in found}.values())

    def candidates(self, window: Window) -> Iterator[Candidate]:
        """What it finds in a window: a candidate for each suspect, likely or not."""
        for measurement in self.measure(window):
            yield self.candidate(window, measurement)

    def candidate(self, window: Window, measurement: M) -> Candidate:
        """What is to be said of one suspect."""
        explanation = self.explain(window, measurement)
        outcomes = (check.outcome(measurement) for check in self.checks)
        return Candidate(
            self.fault.name,
            explanation.culprit,
            explanation.onset_ns,
            explanation.victims,
            [outcome for outcome in outcomes if outcome is not None],
            [*explanation.path],
            explanation.refuted_by,
            explanation.actions,
            explanation.outlook,
            explanation.suffering_s,
            self.name,
            self.prior.odds,
            explanation.is_idle,
            explanation.does,
            explanation.detail,
            explanation.harm,
            explanation.fellows,
        )


def claim(text: str, *evidence: Evidence | None) -> Step | None:
    """A step of a path; None where no row shows it."""
    shown = tuple(one for one in evidence if one is not None)
    return Step(text, shown) if shown else None


def path(*steps: Step | None) -> tuple[Step, ...]:
    """The steps that some row shows, in their order."""
    return tuple(step for step in steps if step is not None)


class _Attributes(Mapping[str, Any]):
    """The attributes of a measurement, as a text may name them."""

    def __init__(self, measurement: object) -> None:
        self._measurement = measurement

    def __getitem__(self, name: str) -> Any:
        return getattr(self._measurement, name)

    def __iter__(self) -> Iterator[str]:
        return iter(dir(self._measurement))

    def __len__(self) -> int:
        return len(dir(self._measurement))


def fields_of(text: str) -> list[str]:
    """The attributes that a text names."""
    return [name for _, name, _, _ in Formatter().parse(text) if name]
