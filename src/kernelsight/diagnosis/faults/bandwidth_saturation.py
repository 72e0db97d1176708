"""The class `bandwidth_saturation`."""

from kernelsight.diagnosis.fault import FaultClass

BANDWIDTH_SATURATION = FaultClass(
    "bandwidth_saturation",
    meaning="An interface carries all that it can or may, while packets wait or are dropped in the queue in front of "
    "it.",
    needs=("qdisc|packet_drop",),
    parts=("network",),
    felt_as="network",
    governed_by=("net.core.*mem*", "net.core.default_qdisc", "net.ipv4.tcp_*mem", "net.ipv4.tcp_congestion_control"),
)
