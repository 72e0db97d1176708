"""The class `context_switch_storm`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

CONTEXT_SWITCH_STORM = FaultClass(
    "context_switch_storm",
    meaning="A few processes wake each other, or give their CPU away, so often that switching is much of what they do.",
    needs=("sched_process|process",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(shows_when_held_back=True, spends_cpu=True, by_families=True),
    governed_by=("kernel.sched_*",),
)
