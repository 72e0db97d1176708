"""What a hypothesis is: a mechanism, tested on the scene for and against.

One module per family in :mod:`kernelsight.diagnosis.hypotheses`, found by itself::

    @hypothesis("lock_contention", needs=("wait",))
    def contended_locks(scene: Scene) -> Iterable[Candidate]:
        ...

A hypothesis yields one candidate for each culprit that it can be about. It does not decide: what
speaks for and against it is written down as checks, and :mod:`kernelsight.diagnosis.ranking` weighs
all candidates on the same window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from kernelsight.diagnosis.model import Entity, Evidence, Fault, Proposal, Step
from kernelsight.diagnosis.scene import Scene
from kernelsight.modules import modules_of


@dataclass(frozen=True, slots=True)
class Check:
    """One test of a candidate: what it says, whether it holds, and how much that counts.

    A check that holds speaks for the candidate, one that does not against it; the two need not count
    alike: what belongs to a fault by definition says little when it is there, and all when it is not.
    Both are in nats of log-odds: 1 makes it 2.7 times as likely (or unlikely), 3 twenty times.
    """

    says: str
    holds: bool
    speaks_for: float = 1.0
    speaks_against: float = 1.0

    @property
    def odds(self) -> float:
        """What it adds to the log-odds of its candidate."""
        return self.speaks_for if self.holds else -self.speaks_against


@dataclass(slots=True)
class Candidate:
    """A fault that may be there, with everything that can be said of it."""

    fault: Fault
    culprit: Entity
    onset_ns: int
    victims: tuple[Entity, ...] = ()
    checks: list[Check] = field(default_factory=list)
    path: list[Step] = field(default_factory=list)
    refuted_by: str = ""
    actions: tuple[Proposal, ...] = ()
    outlook: str = ""
    suffering_s: float = 0.0
    """Seconds of waiting that it explains, within the window."""

    def check(self, says: str, holds: bool, speaks_for: float, speaks_against: float) -> None:  # noqa: FBT001 - it is about the outcome
        """Note the outcome of a test."""
        self.checks.append(Check(says, holds, speaks_for, speaks_against))

    def step(self, claim: str, *evidence: Evidence | None) -> None:
        """Add a claim to the path; one without any evidence is not made."""
        shown = tuple(one for one in evidence if one is not None)
        if shown:
            self.path.append(Step(claim, shown))


Test = Callable[[Scene], Iterable[Candidate]]
_REGISTRY: dict[Fault, Test] = {}
_NEEDS: dict[Fault, tuple[str, ...]] = {}


def hypothesis(fault: Fault, *, needs: tuple[str, ...] = ()) -> Callable[[Test], Test]:
    """Register the test of a fault class.

    Args:
        fault: the class.
        needs: the kinds of event without which the fault shows in nothing, so that it cannot be excluded; kinds
            of which one is enough stand in one text, separated by `|`.
    """

    def declare(test: Test) -> Test:
        if fault in _REGISTRY:
            raise TypeError(f"{fault} has a hypothesis already")
        _REGISTRY[fault] = test
        _NEEDS[fault] = needs
        return test

    return declare


@cache
def hypotheses() -> Mapping[Fault, Test]:
    """All tests by their fault class. A new module is found by itself."""
    modules_of("kernelsight.diagnosis.hypotheses")
    return dict(sorted(_REGISTRY.items()))


@cache
def needs() -> Mapping[Fault, tuple[str, ...]]:
    """The kinds without which each fault class cannot be seen, as :func:`hypothesis` takes them."""
    return {fault: _NEEDS[fault] for fault in hypotheses()}
