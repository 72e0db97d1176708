"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.collector_finds_little import Collecting
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = Collecting(
    run=Interval(10, 19),
    duration=Duration(seconds=10, over_for_s=0),
    process=Entity("process", "70", "shop"),
    share=0.7,
    wanted=0.2,
    share_before=0.35,
    memory_change=0.1,
    times_longer=3.0,
    stuck=0,
    held_back=False,
    rows=(),
    samples=(),
    clients=(),
)
FAILS = {
    "collects_most": {"share": 0.69},
    "is_busy": {"wanted": 0.19},
    "collected_less_before": {"share_before": 0.36},
    "memory_stays": {"memory_change": 0.11},
    "clients_wait_longer": {"times_longer": 2.9},
    "no_quota": {"held_back": True},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
DOES_NOT_APPLY = {
    "collected_less_before": {"share_before": None},
    "memory_stays": {"memory_change": None},
    "clients_wait_longer": {"times_longer": None},
}
