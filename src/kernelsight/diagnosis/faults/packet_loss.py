"""The class `packet_loss`."""

from kernelsight.diagnosis.fault import FaultClass

PACKET_LOSS = FaultClass(
    "packet_loss",
    meaning="Packets are dropped by a rule, a slow reader or a faulty link, or many segments have to be sent again.",
    needs=("packet_drop|tcp_retransmit",),
    felt_as="network",
)
