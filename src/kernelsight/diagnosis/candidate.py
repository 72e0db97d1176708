"""A fault that may be there, with the outcome of each check, and everything that would be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from kernelsight.diagnosis.model import Entity, Fault, Proposal, Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check that was made: what it says, whether that holds, and how much it counts.

    A check that holds supports its candidate, one that fails refutes it. The two need not count alike: what belongs
    to a fault by definition says little when it is there, and all when it is not. Both are in nats of log-odds:
    1 makes a candidate 2.7 times as likely (or unlikely), 3 twenty times.
    """

    says: str
    holds: bool
    supports: float = 1.0
    refutes: float = 1.0
    check_id: str = ""
    """The check of its mechanism."""

    @property
    def odds(self) -> float:
        """What it adds to the log-odds of its candidate."""
        return self.supports if self.holds else -self.refutes


@dataclass(slots=True)
class Candidate:
    """A fault that may be there, with everything that can be said of it."""

    fault: Fault
    culprit: Entity
    onset_ns: int
    victims: tuple[Entity, ...] = ()
    checks: list[Outcome] = field(default_factory=list)
    path: list[Step] = field(default_factory=list)
    refuted_by: str = ""
    actions: tuple[Proposal, ...] = ()
    outlook: str = ""
    suffering_s: float = 0.0
    """Seconds of waiting that it explains, within the window."""
    mechanism: str = ""
    """Its name."""
    prior: float = 0.0
    """What its mechanism is more likely than others before any check, in nats of log-odds."""
    is_idle: bool = False
    """Its culprit sleeps, and wants no CPU."""
    does: str = ""
    """What its culprit does, as :attr:`Finding.does`."""
    detail: str = ""
    """What shows that, in a few words."""
    harm: str = ""
    """What that is to the first victim."""
    fellows: tuple[Entity, ...] = ()
    """Others that do the same together with the culprit."""
