"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.slab_takes_all_memory import SlabGrowth
from kernelsight.diagnosis.trend import Trend
from kernelsight.events.memory import Memory

TEN_S = (Memory(1_000_000_000), Memory(11_000_000_000))
HOLDS = SlabGrowth(
    metric=Memory.slab_kb,
    growth=Trend(TEN_S, 100.0, 0.0, 1000.0, Memory.slab_kb),
    total_kb=100_000.0,
    available_kb=60_000.0,
    lost_kb=500.0,
    maker=None,
)
FAILS = {
    "available_is_known": {"available_kb": None, "lost_kb": None},
    "not_given_back": {"lost_kb": 499.0},
    "ends_soon": {"available_kb": 60_001.0},
}
DOES_NOT_APPLY = {
    "not_given_back": {"available_kb": None, "lost_kb": None},
    "ends_soon": {"available_kb": None, "lost_kb": None},
}
