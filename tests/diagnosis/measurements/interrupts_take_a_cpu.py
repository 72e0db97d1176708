"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.interrupts_take_a_cpu import Storm
from kernelsight.diagnosis.window import Interval

HOLDS = Storm(
    source="36",
    cpu=1,
    device="eth0",
    origin="device",
    run=Interval(3, 12),
    duration=Duration(10, 0),
    per_s=30_000.0,
    work_per_s=8_999.0,
    taken_share=0.1,
    busy_share=0.9,
    largest=None,
    deltas=(),
    of_cpu=(),
)
FAILS = {
    "little_work": {"work_per_s": 9_000.0},
    "takes_time": {"taken_share": 0.09},
    "cpu_is_busy": {"busy_share": 0.89},
    "lasts": {"duration": Duration(5, 4)},
}
DOES_NOT_APPLY = {"little_work": {"work_per_s": None}, "takes_time": {"taken_share": None}}
