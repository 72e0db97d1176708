"""The class `lock_contention`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

LOCK_CONTENTION = FaultClass(
    "lock_contention",
    meaning="Threads, processes or servers of one program wait for a lock that another one of them has, or processes "
    "wait for a file that is locked.",
    needs=("wait",),
    parts=("lock",),
    felt_as="cpu",
    traits=Traits(shows_when_held_back=True, spends_cpu=True, only_holds_up=True),
)
