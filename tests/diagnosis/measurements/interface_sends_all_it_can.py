"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.interface_sends_all_it_can import Saturated
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.packets import FullQueue
from kernelsight.diagnosis.window import Interval

HOLDS = Saturated(
    queue=FullQueue("near0", Interval(3, 12), (), ()),
    waits_share=0.5,
    dropped=9.0,
    rate_mean=800_000.0,
    rate_spread=400_000.0,
    rate_limit=1_000_000.0,
    senders=(Entity("process", "70", "sender"),),
    slowed=(),
)
FAILS = {
    "queue_is_full": {"waits_share": 0.4},
    "rate_is_level": {"rate_mean": 799_999.0},
}
DOES_NOT_APPLY = {"rate_is_level": {"rate_mean": None}}
