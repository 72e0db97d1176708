"""The class `port_exhaustion`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

PORT_EXHAUSTION = FaultClass(
    "port_exhaustion",
    meaning="Connections cannot be made because every local port to that destination is taken, most by ones in "
    "TIME_WAIT.",
    needs=("syscall_error",),
    parts=("network",),
    traits=Traits(uses_up=True),
    governed_by=(
        "net.ipv4.ip_local_*",
        "net.ipv4.tcp_tw_reuse",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_max_tw_buckets",
    ),
)
