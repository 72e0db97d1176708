"""The class `listen_overflow`."""

from kernelsight.diagnosis.fault import FaultClass

LISTEN_OVERFLOW = FaultClass(
    "listen_overflow",
    meaning="Connections find the queue of a listener full, because it accepts more slowly than they come.",
    needs=("tcp_retransmit|packet_drop",),
)
