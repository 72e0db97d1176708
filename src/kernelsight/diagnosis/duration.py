"""How long something went on and whether it still does: a burst that is over is no fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kernelsight.diagnosis.mechanism import Check
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window

BURST_S = Threshold(
    6,
    "s",
    because="judged: a few jobs that the clock starts at the same moment are done in less, and nobody looks for what "
    "is over sooner",
)
GOES_ON_S = Threshold(
    3, "s", because="samples are a second apart and take their time to the store: what was there 3 s ago may still be"
)


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something was there within a window."""

    seconds: int
    over_for_s: int
    """Seconds between its last one and the end of the window; what is under way ended 0 s ago."""


def duration_of(window: Window, run: Interval) -> Duration:
    """How long a stretch of a window was."""
    last = int((window.when.end_ns - window.begin_ns) // NS_PER_S)
    return Duration(run.seconds, last - run.last)


class Lasting(Protocol):
    """A measurement of what goes on for some time."""

    @property
    def duration(self) -> Duration:
        """How long."""
        ...


LASTS: Check[Lasting] = Check(
    id="lasts",
    says="it goes on, or was more than a burst",
    holds=lambda suspect: suspect.duration.seconds >= BURST_S or suspect.duration.over_for_s <= GOES_ON_S,
    supports=0.0,
    refutes=8.0,
    because="judged: most of what lasts is no fault, so lasting says nothing for it; a short burst that is over is "
    "none, whatever else holds, so its failure outweighs all other checks together",
)
"""For every mechanism whose suspects may be a burst."""
