"""The class `cpu_throttling`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

CPU_THROTTLING = FaultClass(
    "cpu_throttling",
    meaning="A control group uses up its quota and waits for the next period, again and again.",
    needs=("cgroup",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(is_limit=True),
)
