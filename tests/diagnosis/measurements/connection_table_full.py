"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.connection_table import FullTable
from kernelsight.diagnosis.limit_use import LimitUse
from kernelsight.diagnosis.limits import CONNECTION_TABLE
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.limit import Limit
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpRetransmitEvent

UNKNOWN = LimitUse(())


def used(number):
    return LimitUse((Limit(1, CONNECTION_TABLE, None, number, 100),))


def lost(count):
    return (PacketDrop(1, interface_name="eth0", count=count),)


HOLDS = FullTable(
    drops=lost(10),
    seconds=3,
    use=used(98),
    asked_again=(),
    requests=tuple(TcpRetransmitEvent(number, state="syn_sent") for number in range(3)),
    carried=10.0,
    messages=(KernelMessage(1, message_kind="table_full", from_kernel=True, subject="nf_conntrack", count=1),),
)
APPLIES = {"missed": {"use": UNKNOWN}, "most_pass": {"use": UNKNOWN}}
FAILS = {
    "many": {"drops": lost(9)},
    "limit_is_met": {"use": used(97)},
    "kernel_says_so": {"messages": (), "log_is_read": True},
    "missed_too": {"requests": HOLDS.requests[:2]},
    "missed": {"requests": HOLDS.requests[:2]},
    "most_pass": {"carried": 9.0},
}
DOES_NOT_APPLY = {
    "kernel_says_so": {"messages": ()},
    "limit_is_met": {"use": UNKNOWN},
    "missed_too": {"use": UNKNOWN},
    "most_pass": {"use": UNKNOWN, "carried": 0.0},
}
