"""The class `memory_leak`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

MEMORY_LEAK = FaultClass(
    "memory_leak",
    meaning="The anonymous memory of one process grows at a steady rate and will meet a limit within two hours.",
    needs=("process", "memory|cgroup"),
    parts=("memory",),
    traits=Traits(uses_up=True),
)
