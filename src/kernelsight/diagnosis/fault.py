"""What a class of faults is, declared once: what it means, what shows it, how it relates to others.

One module a class in :mod:`kernelsight.diagnosis.faults`, which declares it under its own name in capitals::

    CPU_STEAL = FaultClass(
        "cpu_steal",
        meaning="The hypervisor runs other machines in a good part of the time in which this one wants its CPUs.",
        needs=("cpu",),
    )

How it comes about is said by its mechanisms (:mod:`kernelsight.diagnosis.mechanism`), of which it may have many.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelsight.diagnosis.model import Fault


@dataclass(frozen=True, slots=True)
class FaultClass:
    """A class of faults."""

    name: Fault
    meaning: str
    """When it is this, in a sentence."""
    needs: tuple[str, ...]
    """The kinds of event without which it shows in nothing, so that it cannot be excluded; kinds of which one is
    enough stand in one text, separated by ``|``."""
