"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.hypervisor_takes_cpu import Stolen
from kernelsight.diagnosis.window import Interval

HOLDS = Stolen(
    run=Interval(3, 12),
    duration=Duration(seconds=10, over_for_s=20),
    stolen_share=0.15,
    lost_share=0.15,
    suffering_s=3.0,
    waiting=(),
    deltas=(),
)
FAILS = {
    "takes_much": {"stolen_share": 0.14},
    "slows_what_wants_a_cpu": {"lost_share": 0.14},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
