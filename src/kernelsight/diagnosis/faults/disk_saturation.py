"""The class `disk_saturation`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

DISK_SATURATION = FaultClass(
    "disk_saturation",
    meaning="A device is busy all the time, requests queue, and others wait for what one program reads or writes.",
    needs=("block", "process|wait"),
    parts=("disk",),
    felt_as="storage",
    traits=Traits(spends_cpu=True),
    governed_by=("/sys/block/*/queue/*", "vm.dirty_*", "vm.swappiness", "vm.laptop_mode"),
)
