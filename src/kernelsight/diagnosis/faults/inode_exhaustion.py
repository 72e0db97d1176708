"""The class `inode_exhaustion`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

INODE_EXHAUSTION = FaultClass(
    "inode_exhaustion",
    meaning="A file system has no inodes left, or will not have soon, while there is space.",
    needs=("filesystem",),
    parts=("disk",),
    traits=Traits(uses_up=True, by_children=True),
)
