"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.pipes import HeldUp
from kernelsight.diagnosis.window import Interval

HOLDS = HeldUp(
    run=Interval(10, 19),
    duration=Duration(seconds=10, over_for_s=0),
    writer=Entity("process", "80", "writer"),
    reader=Entity("process", "70", "reader"),
    share=0.6,
    share_before=0.3,
    ran=0.8,
    kept_from_cpu_share=0.2,
    edges=(),
    pending=(),
)
FAILS = {
    "held_up": {"share": 0.59},
    "kept_up_before": {"share_before": 0.31},
    "reader_computes": {"ran": 0.79},
    "has_a_cpu": {"kept_from_cpu_share": 0.21},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
