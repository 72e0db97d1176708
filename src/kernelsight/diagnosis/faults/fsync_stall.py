"""The class `fsync_stall`."""

from kernelsight.diagnosis.fault import FaultClass

FSYNC_STALL = FaultClass(
    "fsync_stall",
    meaning="Commits (fsync and its like) take long because of dirty pages that another program writes in bulk.",
    needs=("wait",),
    parts=("disk",),
    felt_as="storage",
    governed_by=("vm.dirty_*", "/sys/block/*/queue/*"),
)
