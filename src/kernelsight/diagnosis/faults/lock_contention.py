"""The class `lock_contention`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

LOCK_CONTENTION = FaultClass(
    "lock_contention",
    meaning="Threads or servers stand in line for a lock that their own kind hands on, or processes for a locked file.",
    needs=("wait",),
    felt_as="cpu",
    traits=Traits(shows_when_held_back=True, spends_cpu=True, only_holds_up=True),
)
