"""The class `disk_full`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

DISK_FULL = FaultClass(
    "disk_full",
    meaning="A file system has no space left, or will not have soon, or a quota is used up.",
    needs=("filesystem|syscall_error",),
    parts=("disk",),
    traits=Traits(uses_up=True, by_children=True),
)
