"""The class `cpu_saturation`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

CPU_SATURATION = FaultClass(
    "cpu_saturation",
    meaning="A few tasks that hardly ever sleep use most of the CPUs, and others (or they themselves) wait for one.",
    needs=("sched_process|process",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(wants_cpu=True),
    governed_by=("kernel.sched_*", "kernel.numa_balancing*"),
)
