"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.identity import ProgramId
from kernelsight.diagnosis.lock_queues import LockQueue, Queueing
from kernelsight.diagnosis.window import Interval

HOLDS = Queueing(
    LockQueue(ProgramId("app", 5), in_kernel=True),
    Interval(3, 12),
    Duration(seconds=10, over_for_s=20),
    waiting=5.0,
    handed_on=5.0,
    timed_out=0.0,
    passed_on=None,
    passed_on_time=None,
    ran=0.5,
    queued=0.0,
    timed=0.0,
    blocked=0.0,
    asked=0.0,
    busiest=0.35,
)
FAILS = {
    "release_each_other": {"handed_on": 4.9},
    "alike": {"busiest": 0.36},
    "holder_works": {"ran": 0.49},
    "few_go_on": {"ran": 5.1},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
DOES_NOT_APPLY = {"alike": {"busiest": None}}
