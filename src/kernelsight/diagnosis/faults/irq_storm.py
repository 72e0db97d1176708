"""The class `irq_storm`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

IRQ_STORM = FaultClass(
    "irq_storm",
    meaning="One source raises so many interrupts on a CPU that programs there lose much of it, and little work comes "
    "of them.",
    needs=("interrupt",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(spends_cpu=True),
)
