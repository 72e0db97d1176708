"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.contention import Contention
from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.crowd_wants_cpus import Crowd
from kernelsight.diagnosis.window import Interval

HOLDS = Crowd(
    stretch=Contention(Interval(3, 12), uses=(), cpus=2, loops=(), before=None, giving_way=frozenset()),
    duration=Duration(seconds=10, over_for_s=20),
    fellows=(),
    load_per_cpu=6.0,
    cpus=2,
    wanted_cpus=6.0,
    got_cpus=1.0,
    ran_s=10.0,
    switches=500_000,
)
FAILS = {
    "many_a_cpu": {"load_per_cpu": 5.9},
    "small_shares": {"got_cpus": 1.1},
    "works": {"switches": 625_000},
    "one_program": {"wanted_cpus": 5.9},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
