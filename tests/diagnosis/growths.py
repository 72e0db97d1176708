"""Memory that grows by 100 MiB in 10 s, for measurements: all checks of a leak hold, and what makes each fail."""

from domains import GROUP

from kernelsight.diagnosis.memory_growth import MemoryGrowth
from kernelsight.diagnosis.memory_use import Holder
from kernelsight.diagnosis.trend import Trend
from kernelsight.events.process import Process

TEN_S = (Process(1_000_000_000), Process(11_000_000_000))
GROWN_KB = 102_400.0
LEAK = MemoryGrowth(
    holder=Holder(()),
    trend=Trend(TEN_S, GROWN_KB / 10, 0.0, GROWN_KB, Process.anon_kb),
    domain=GROUP,
    until_s=100.0,
)
NO_LEAK = {
    "foreseen_boldly": {"until_s": 3001.0},
    "foreseen_fairly": {"until_s": 601.0},
    "limit_is_near": {"until_s": 101.0},
    "does_not_load": {"read_kb": GROWN_KB / 2},
    "does_not_compute": {"worked_s": 5.0},
    "gives_nothing_back": {"given_back_kb": 0.3 * GROWN_KB},
    "asks_for_more": {"room_kb": GROUP.left_kb - 1},
    "load_is_the_same": {"is_busier": True},
    "still_to_come": {"memory_is_short": True},
}
