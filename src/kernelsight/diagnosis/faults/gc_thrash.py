"""The class `gc_thrash`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

GC_THRASH = FaultClass(
    "gc_thrash",
    meaning="A managed runtime collects garbage most of the time and finds little, as its heap is nearly full.",
    needs=("sched_process",),
    parts=("memory", "cpu"),
    felt_as="cpu",
    traits=Traits(shows_when_held_back=True, spends_cpu=True),
)
