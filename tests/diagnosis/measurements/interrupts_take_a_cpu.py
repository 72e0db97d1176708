"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.cpu_time import Use
from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.interrupts_take_a_cpu import Storm
from kernelsight.diagnosis.window import Interval

TIMERS = Use(60, "ticker", None)
HOLDS = Storm(
    source="36",
    cpu=1,
    device="eth0",
    origin="device",
    run=Interval(3, 12),
    duration=Duration(10, 0),
    per_s=40_000.0,
    work_per_s=11_999.0,
    taken_share=0.1,
    waits_per_s=0.1,
    busy_share=0.9,
    largest=None,
    deltas=(),
    of_cpu=(),
)
FAILS = {
    "little_work": {"work_per_s": 12_000.0},
    "takes_time": {"taken_share": 0.09},
    "must_take_time": {"taken_share": None, "per_s": 39_999.0},
    "somebody_waits": {"taken_share": None, "largest": TIMERS, "waits_per_s": 0.09},
    "cpu_is_busy": {"busy_share": 0.89},
    "lasts": {"duration": Duration(5, 4)},
}
APPLIES = {"must_take_time": {"taken_share": None}, "somebody_waits": {"taken_share": None, "largest": TIMERS}}
DOES_NOT_APPLY = {
    "must_take_time": {},
    "somebody_waits": {},
    "little_work": {"work_per_s": None},
    "takes_time": {"taken_share": None},
}
