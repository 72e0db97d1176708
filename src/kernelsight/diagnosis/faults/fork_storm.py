"""The class `fork_storm`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

FORK_STORM = FaultClass(
    "fork_storm",
    meaning="One program starts processes or threads all the time, and they end as soon as they have begun.",
    needs=("sched_process|cpu", "sched_process|process"),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(spends_cpu=True, by_families=True, starts_others=True),
    governed_by=("kernel.pid_max", "kernel.threads-max"),
)
