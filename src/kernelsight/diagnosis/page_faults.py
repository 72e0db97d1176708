"""What tells a storm of page faults from the faults that every program has."""

from __future__ import annotations

from dataclasses import dataclass

from kernelsight.diagnosis.mechanism import Check
from kernelsight.diagnosis.memory_use import machine
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.remedies import LOOK, RENICE
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.memory import PageFaultStats, Vmstat
from kernelsight.signals.rules.page_faults import FAULT_TIME_PERCENT, MINOR_FAULTS_PER_S

FAULTS_PER_S = Threshold(
    0.01024 * MINOR_FAULTS_PER_S,
    "faults/s",
    because="judged: 10 MiB/s of memory that is asked for anew, a hundredth of what the signal `minor_fault_storm` "
    "tells at; a process that keeps its memory has a few hundred faults; here it only makes a suspect",
)
MANY_FAULTS_PER_S = Threshold(
    0.08 * MINOR_FAULTS_PER_S,
    "faults/s",
    because="calculated: a fault takes half a microsecond at least and some mostly, so that these alone take 1 to 10 % "
    "of a CPU; a twelfth of what the signal `minor_fault_storm` tells at",
)
MOST_SYSTEM_SHARE = Threshold(
    0.6,
    "share of CPU time",
    because="judged: of a process whose faults are not many, most of its CPU time must go to the kernel for faults to "
    "be what it does",
)
MUCH_SYSTEM_SHARE = Threshold(
    0.3,
    "share of CPU time",
    because="judged: where faults are many (`MANY_FAULTS_PER_S`), half as much is enough: the program does something "
    "with the pages, too",
)
SYSTEM_CPUS = Threshold(
    FAULT_TIME_PERCENT / 100,
    "CPUs in the kernel",
    because="judged: as the signal `fault_time`; with less, nobody feels it, and a program that reads into new buffers "
    "as data comes spends less",
)
FAULTS_PER_CHILD = Threshold(
    1000.0,
    "faults a child",
    because="judged: to begin a process and to end it takes some hundred faults after a fork alone, and some thousand "
    "for a program that is loaded",
)
LASTS_S = Threshold(5, "s", because="judged: a program is loaded, and a buffer is filled, in less")
CAME_BACK_SHARE = Threshold(
    0.1,
    "share of the faults",
    because="judged: if so many pages were evicted before on the machine, the faults may be for them",
)


@dataclass(frozen=True, slots=True)
class Faulting:
    """What both mechanisms measure: a stretch of seconds in which there were many faults."""

    culprit: Entity
    """Who has them, or makes the copies that have them."""
    run: Interval
    faults: float
    came_back: float
    """Pages that were needed again though they had been evicted; of the machine."""

    @property
    def name(self) -> str:
        """Of the process."""
        return self.culprit.name

    @property
    def per_s(self) -> float:
        """Faults a second."""
        return self.faults / self.run.seconds

    @property
    def seconds(self) -> int:
        """How long it went on."""
        return self.run.seconds


NOT_FOR_EVICTED_PAGES: Check[Faulting] = Check(
    id="not_for_evicted_pages",
    says="few pages were evicted for want of memory",
    holds=lambda faulting: faulting.came_back < CAME_BACK_SHARE * faulting.faults,
    supports=0.5,
    refutes=3.0,
    because="judged: a process whose pages are evicted faults for them again: `memory_pressure` (recorded: "
    "`swaps_within_its_group`)",
)


def faults_of(row: PageFaultStats) -> float:
    """The faults that a row counts."""
    return float((row.minor_faults or 0) + (row.major_faults or 0))


def came_back(window: Window, run: Interval) -> float:
    """Pages that were needed again within a stretch though they had been evicted; of the machine."""
    whole = window.once(machine)
    if whole is None:
        return 0.0
    deltas = window.during(whole.deltas, run)
    return sum(whole.came_back(delta) + delta.of(Vmstat.pswpin) for delta in deltas)


def refuted_by(culprit: Entity) -> str:
    """What would show that it is no storm of faults."""
    return f"{culprit.name} does no more in the same time when it keeps its memory, or uses huge pages"


def remedies(culprit: Entity, advice: str) -> tuple[Proposal, ...]:
    """What helps."""
    return (
        LOOK.on(culprit, advice),
        RENICE.on(culprit, f"give {culprit.name} a lower priority, so that others are not slowed"),
    )
