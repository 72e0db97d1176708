"""What a class of faults is, declared once: what it means, what shows it, how it relates to others.

One module a class in :mod:`kernelsight.diagnosis.faults`, which declares it under its own name in capitals::

    CPU_STEAL = FaultClass(
        "cpu_steal",
        meaning="The hypervisor runs other machines in a good part of the time in which this one wants its CPUs.",
        needs=("cpu",),
    )

How it comes about is said by its mechanisms (:mod:`kernelsight.diagnosis.mechanism`), of which it may have many.
What it may be a cause or an effect of, and what it may be taken for, is said by traits
(:mod:`kernelsight.diagnosis.effects`, :mod:`kernelsight.diagnosis.alternatives`): a class names no other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from kernelsight.diagnosis.model import Fault

Part = Literal["cpu", "disk", "lock", "memory", "network"]
"""A part of the machine that a question may narrow itself to."""
Felt = Literal["cpu", "storage", "network"]
"""What those wait for who suffer from a fault: of one suffering, only faults that are felt alike are alternatives."""


def _trait(meaning: str) -> bool:
    declared: bool = field(default=False, metadata={"meaning": meaning})
    return declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a class of faults relates to others; none of them holds unless it is declared."""

    uses_up: bool = _trait(
        "A program keeps what it gets until none is left. Nobody makes it do so by being slow or in its way, and no "
        "program does it twice."
    )
    is_limit: bool = _trait(
        "A limit that somebody set is met. It is met by use and never by waiting, so it is no effect of anything. It "
        "holds back its members, and is said before other explanations of the same suffering."
    )
    shows_when_held_back: bool = _trait(
        "The members of a group show it, too, when a limit holds the group back: who is stopped keeps its locks, and "
        "answers late."
    )
    wants_cpu: bool = _trait(
        "CPU time is what every program needs. What it needs it for says more, so this gives way to any other "
        "explanation."
    )
    spends_cpu: bool = _trait("It uses CPU time as it works, and so takes it from others.")
    by_families: bool = _trait("Parents do it together with their children: it is one fault of all of them.")
    starts_others: bool = _trait("The culprit starts other processes: what its short-lived children do is part of it.")
    by_children: bool = _trait(
        "A script does it by the programs that it starts: that it starts so many is how, and no second fault."
    )
    stands_still: bool = _trait(
        "Somebody has stopped the culprit, so that it does nothing at all. That is no effect of anything, and what "
        "else others wait for because of the culprit is an effect of it."
    )
    only_holds_up: bool = _trait("It holds up those who want the same thing, and makes nobody start others.")


def trait_meanings() -> Mapping[str, str]:
    """What each trait means, by its name."""
    return {one.name: one.metadata["meaning"] for one in fields(Traits)}


@dataclass(frozen=True, slots=True)
class FaultClass:
    """A class of faults."""

    name: Fault
    meaning: str
    """When it is this, in a sentence."""
    needs: tuple[str, ...]
    """The kinds of event without which it shows in nothing, so that it cannot be excluded; kinds of which one is
    enough stand in one text, separated by ``|``."""
    parts: tuple[Part, ...] = ()
    """The parts of the machine that it is a fault of: a question about one of them means it, too."""
    felt_as: Felt | None = None
    """What its victims wait for; None: it is taken for no other class."""
    traits: Traits = Traits()
    governed_by: tuple[str, ...] = ()
    """The settings of the kernel that govern how it comes about, as patterns of fnmatch(3): `vm.dirty_*`."""
