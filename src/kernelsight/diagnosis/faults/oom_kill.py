"""The class `oom_kill`."""

from kernelsight.diagnosis.fault import FaultClass

OOM_KILL = FaultClass(
    "oom_kill",
    meaning="The kernel killed a process because the memory of its control group, or of the machine, had run out.",
    needs=("oom_kill|vmstat|cgroup",),
    parts=("memory",),
)
