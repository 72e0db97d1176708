"""The class `packet_loss`."""

from kernelsight.diagnosis.fault import FaultClass

PACKET_LOSS = FaultClass(
    "packet_loss",
    meaning="Packets do not arrive: a rule, a slow reader or a faulty link drops them, and many have to be sent again.",
    needs=("packet_drop|tcp_retransmit",),
    parts=("network",),
    felt_as="network",
    governed_by=(
        "net.core.*mem*",
        "net.core.netdev_*",
        "net.ipv4.tcp_*mem",
        "net.ipv4.udp_*",
        "net.ipv*.conf.*",
        "net.netfilter.*",
        "net.ipv*.route.*",
        "net.ipv*.neigh.*",
    ),
)
