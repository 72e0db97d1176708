"""The class `softirq_load`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

SOFTIRQ_LOAD = FaultClass(
    "softirq_load",
    meaning="A large part of a CPU's time goes to handling very many small packets.",
    needs=("cpu",),
    parts=("network", "cpu"),
    felt_as="cpu",
    traits=Traits(spends_cpu=True),
    governed_by=("net.core.netdev_*", "net.core.dev_weight*", "net.core.rps_*", "net.core.busy_*"),
)
