"""The class `disk_latency`."""

from kernelsight.diagnosis.fault import FaultClass

DISK_LATENCY = FaultClass(
    "disk_latency",
    meaning="A device takes long for each request though little is asked of it, or a control group is at its limit for "
    "I/O.",
    needs=("block", "process|wait|pressure"),
    parts=("disk",),
    felt_as="storage",
    governed_by=("/sys/block/*/queue/*",),
)
