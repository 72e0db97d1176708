"""The class `numa_pressure`."""

from kernelsight.diagnosis.fault import FaultClass

NUMA_PRESSURE = FaultClass(
    "numa_pressure",
    meaning="One memory node is full while others have room: programs get memory of another node, which is slower, or "
    "have their pages moved again and again.",
    needs=("numa_node",),
    parts=("memory",),
    governed_by=("vm.zone_reclaim_mode", "vm.numa_*", "kernel.numa_balancing*"),
)
