"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.stopped import Stopped
from kernelsight.diagnosis.waiting import Edge
from kernelsight.events.process import SocketOwner

HOLDS = Stopped(
    process=Entity("process", "70", "server"),
    cause="signal",
    stopped_s=3.0,
    has_run=False,
    serves=True,
    rows=(),
    unread=(SocketOwner(1, pid=70, listening=1, receive_queue_bytes=1),),
    queued=(),
    locks=(),
    asked=(),
    behind=(),
    called=(),
    cut_off=(Edge(80, "client", 70, "server", "recvfrom", "interruptible"),),
)
FAILS = {
    "others_wait": {"serves": False},
    "stays_stopped": {"stopped_s": 2.9},
    "answered_before": {"cut_off": ()},
}
