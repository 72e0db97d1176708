"""The class `memory_pressure`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

MEMORY_PRESSURE = FaultClass(
    "memory_pressure",
    meaning="Pages that were in memory must be read or swapped in again, and somebody waits for them.",
    needs=("memory|cgroup", "vmstat|cgroup"),
    parts=("memory",),
    felt_as="storage",
    traits=Traits(spends_cpu=True),
    governed_by=(
        "vm.swappiness",
        "vm.min_free_kbytes",
        "vm.watermark_*",
        "vm.vfs_cache_pressure",
        "vm.overcommit_*",
        "vm.nr_hugepages*",
        "vm.zone_reclaim_mode",
        "/sys/kernel/mm/*",
    ),
)
