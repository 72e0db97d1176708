"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.quota_used_up import Throttled
from kernelsight.diagnosis.window import Interval

HOLDS = Throttled(
    group="/build", run=Interval(3, 12), held_s=1.0, periods=100, hit_periods=10, has_quota=True, slowed=(), deltas=()
)
FAILS = {
    "hit_often": {"hit_periods": 9},
    "has_quota": {"has_quota": False},
}
