"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.identity import ProgramId
from kernelsight.diagnosis.lock_queues import LockQueue, Queueing
from kernelsight.diagnosis.window import Interval

HOLDS = Queueing(
    LockQueue(ProgramId("app", 5), in_kernel=False),
    Interval(3, 12),
    Duration(seconds=10, over_for_s=20),
    waiting=6.5,
    handed_on=5.0,
    timed_out=0.0,
    passed_on=0.3,
    passed_on_time=0.15,
    ran=0.5,
    queued=0.0,
    timed=0.0,
    blocked=0.0,
    asked=0.0,
    busiest=0.35,
)
SELDOM = {"passed_on": 0.29}
"""Most of the threads that release the lock had not waited for it."""
FAILS = {
    "release_each_other": {"handed_on": 4.9},
    "releaser_had_waited": SELDOM,
    "releaser_had_waited_at_times": {"passed_on": 0.029},
    "none_idles": {"timed": 0.1, "asked": 0.2},
    "always_held": {"ran": 0.5, "blocked": 0.25, "timed": 0.04},
    "alike_though_waited": {"busiest": 0.36},
    "alike": {"busiest": 0.36},
    "holder_works": {"ran": 0.1, "queued": 0.1, "blocked": 0.2, "timed": 0.09},
    "few_go_on": {"ran": 6.6},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
APPLIES = {
    "releaser_had_waited_at_times": SELDOM,
    "none_idles": SELDOM | {"timed": 0.1, "asked": 0.19},
    "always_held": {"passed_on": 0.029, "ran": 0.5, "blocked": 0.25, "timed": 0.05},
    "alike": {"passed_on": None},
}
DOES_NOT_APPLY = {
    "releaser_had_waited": {"passed_on": None},
    "releaser_had_waited_at_times": {"passed_on": None},
    "none_idles": {"passed_on": None},
    "always_held": {"passed_on": None},
    "alike_though_waited": {"passed_on": None},
    "alike": {"passed_on": None, "busiest": None},
}
