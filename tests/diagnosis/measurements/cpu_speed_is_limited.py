"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.cpu_speed_is_limited import Limited
from kernelsight.diagnosis.window import Interval

HOLDS = Limited(4, Interval(5, 20), 1_000_000, 1_200_000, 3_000_000, busy=0.5, rows=())
FAILS = {"was_lowered": {"before_khz": 1_190_000}, "has_work": {"busy": 0.49}}
DOES_NOT_APPLY = {"has_work": {"busy": None}}
