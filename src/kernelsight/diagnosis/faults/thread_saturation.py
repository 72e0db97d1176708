"""The class `thread_saturation`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

THREAD_SATURATION = FaultClass(
    "thread_saturation",
    meaning="A server that does everything in one thread computes all the time, and its clients wait for it, however "
    "many other CPUs are idle.",
    needs=("wait",),
    parts=("cpu",),
    felt_as="cpu",
    traits=Traits(shows_when_held_back=True, spends_cpu=True),
)
