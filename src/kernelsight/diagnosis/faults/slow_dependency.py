"""The class `slow_dependency`."""

from kernelsight.diagnosis.fault import FaultClass

SLOW_DEPENDENCY = FaultClass(
    "slow_dependency",
    meaning="A program waits for another service or host, which answers late, takes data too slowly, or does not "
    "answer at all.",
    needs=("tcp_connection", "pending_wait"),
    parts=("network",),
    felt_as="network",
    governed_by=(
        "net.ipv4.tcp_*mem",
        "net.core.*mem*",
        "net.ipv4.tcp_syn*",
        "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_congestion_control",
    ),
)
