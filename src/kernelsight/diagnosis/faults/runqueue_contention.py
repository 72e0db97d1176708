"""The class `runqueue_contention`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

RUNQUEUE_CONTENTION = FaultClass(
    "runqueue_contention",
    meaning="Far more threads are runnable than there are CPUs, and each gets little.",
    needs=("sched_process|process",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(wants_cpu=True),
    governed_by=("kernel.sched_*",),
)
