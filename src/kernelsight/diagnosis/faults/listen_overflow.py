"""The class `listen_overflow`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

LISTEN_OVERFLOW = FaultClass(
    "listen_overflow",
    meaning="Connections find the queue of a listener full, because it accepts more slowly than they come.",
    needs=("tcp_retransmit|packet_drop",),
    parts=("network",),
    felt_as="network",
    traits=Traits(shows_when_held_back=True),
)
