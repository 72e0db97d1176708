"""The class `blocked_io`."""

from kernelsight.diagnosis.fault import FaultClass

BLOCKED_IO = FaultClass(
    "blocked_io",
    meaning="Tasks sleep uninterruptibly for seconds, and the device or mount that they wait for gets nothing done.",
    needs=("block|blocked_task",),
    parts=("disk",),
    felt_as="storage",
    governed_by=("vm.dirty_*",),
)
