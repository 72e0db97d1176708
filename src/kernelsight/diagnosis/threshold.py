"""A threshold: a number with its unit, and the reason why it is this one."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Self


class Threshold(float):
    """A number from which on something counts. It compares and calculates as the number that it is.

    Its name says the unit, too (``LEAST_PACKETS_PER_S``, ``HIT_SHARE``).
    """

    __slots__ = ("because", "unit")

    unit: str
    """What it is a number of: "packets/s", "share of a CPU's time"."""
    because: str
    """Why this number, and the source: a document of the kernel, a paper, "measured: ..." or "judged: ..."."""

    def __new__(cls, value: float, unit: str, *, because: str) -> Self:
        """A number with its unit and its reason.

        Raises:
            TypeError: it has no unit or no reason.
        """
        if not unit.strip() or not because.strip():
            raise TypeError(f"the threshold {value:g} needs a unit and a reason")
        made = super().__new__(cls, value)
        made.unit = unit
        made.because = because
        return made


def thresholds_of(module: ModuleType) -> Mapping[str, Threshold]:
    """The thresholds that a module declares or imports, by name."""
    return {name: value for name, value in sorted(vars(module).items()) if isinstance(value, Threshold)}
