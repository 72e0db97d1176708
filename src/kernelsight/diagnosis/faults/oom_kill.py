"""The class `oom_kill`."""

from kernelsight.diagnosis.fault import FaultClass

OOM_KILL = FaultClass(
    "oom_kill",
    meaning="The kernel killed a process because the memory of its control group, or of the machine, had run out.",
    needs=("oom_kill|vmstat|cgroup",),
    parts=("memory",),
    governed_by=(
        "vm.overcommit_*",
        "vm.oom_*",
        "vm.panic_on_oom",
        "vm.min_free_kbytes",
        "vm.nr_hugepages*",
        "vm.swappiness",
    ),
)
