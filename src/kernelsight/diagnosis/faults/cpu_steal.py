"""The class `cpu_steal`."""

from kernelsight.diagnosis.fault import FaultClass

CPU_STEAL = FaultClass(
    "cpu_steal",
    meaning="The hypervisor runs other machines in a good part of the time in which this one wants its CPUs.",
    needs=("cpu",),
    parts=("cpu",),
)
