"""The class `lock_contention`."""

from kernelsight.diagnosis.fault import FaultClass

LOCK_CONTENTION = FaultClass(
    "lock_contention",
    meaning="Threads or servers stand in line for a lock that their own kind hands on, or processes for a locked file.",
    needs=("wait",),
)
