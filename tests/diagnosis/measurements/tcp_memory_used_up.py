"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.limit_use import LimitUse
from kernelsight.diagnosis.limits import TCP_MEMORY
from kernelsight.diagnosis.mechanisms.tcp_memory_used_up import FullMemory
from kernelsight.events.limit import Limit
from kernelsight.events.packet_drop import PacketDrop

HOLDS = FullMemory(
    use=LimitUse((Limit(1, TCP_MEMORY, None, 98, 100),)),
    squeezed=(),
    dropped=(PacketDrop(2, reason="PROTO_MEM", count=1),),
    owner=None,
)
FAILS = {"memory_is_refused": {"dropped": ()}}
