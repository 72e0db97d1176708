"""The class `softirq_load`."""

from kernelsight.diagnosis.fault import FaultClass

SOFTIRQ_LOAD = FaultClass(
    "softirq_load",
    meaning="A large part of a CPU's time goes to handling very many small packets.",
    needs=("cpu",),
)
