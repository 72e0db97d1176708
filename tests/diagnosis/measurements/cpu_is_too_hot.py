"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.cpu_is_too_hot import TooHot
from kernelsight.diagnosis.window import Interval

HOLDS = TooHot(Interval(0, 9), (), 3, slowed_share=0.1, busy=0.5, messages=())
FAILS = {"for_long": {"slowed_share": 0.09}, "again": {"times": 2}, "has_work": {"busy": 0.49}}
DOES_NOT_APPLY = {"for_long": {"slowed_share": None}, "has_work": {"busy": None}}
