"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.contention import Contention
from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.few_take_all_cpus import Takers
from kernelsight.diagnosis.window import Interval

HOLDS = Takers(
    stretch=Contention(Interval(3, 12), uses=(), cpus=2, loops=(), before=None, giving_way=frozenset()),
    duration=Duration(seconds=10, over_for_s=20),
    uses=(),
    fellows=(),
    hurt=(),
    loops=3,
    loops_want_cpus=2.5,
    loops_wait_per_s=0.5,
    others_wait_per_s=0.0,
    taken_cpus=0.8,
    used_cpus=2.0,
    cpus=2,
    load_per_cpu=5.9,
    interrupted_share=0.39,
    taken_away_share=0.24,
    ran_s=10.0,
    switches=500_000,
)
FAILS = {
    "somebody_is_slowed": {"loops_wait_per_s": 0.49, "others_wait_per_s": 0.09},
    "few_use_most": {"load_per_cpu": 6.0},
    "run_all_the_time": {"loops": 0},
    "not_interrupts": {"interrupted_share": 0.4},
    "not_stolen": {"taken_away_share": 0.25},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
    "works": {"switches": 625_000},
}
