"""The class `listen_overflow`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

LISTEN_OVERFLOW = FaultClass(
    "listen_overflow",
    meaning="Connections find the queue of a listener full, because it accepts more slowly than they come.",
    needs=("tcp_retransmit|packet_drop",),
    parts=("network",),
    felt_as="network",
    traits=Traits(shows_when_held_back=True),
    governed_by=(
        "net.core.somaxconn",
        "net.ipv4.tcp_max_syn_backlog",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_abort_on_overflow",
    ),
)
