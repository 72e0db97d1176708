"""The class `slow_dependency`."""

from kernelsight.diagnosis.fault import FaultClass

SLOW_DEPENDENCY = FaultClass(
    "slow_dependency",
    meaning="A program waits for another service or host, which answers late, takes data too slowly, or does not "
    "answer at all.",
    needs=("tcp_connection", "pending_wait"),
    parts=("network",),
    felt_as="network",
)
