"""The class `cpu_throttling`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

CPU_THROTTLING = FaultClass(
    "cpu_throttling",
    meaning="CPU time is held back: a control group uses up its quota and waits for the next period, again and "
    "again, or the CPUs are slowed for heat or by a limit of their frequency.",
    needs=("cgroup",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(is_limit=True),
    governed_by=("kernel.sched_*",),
)
