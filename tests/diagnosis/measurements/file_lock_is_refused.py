"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.file_lock_is_refused import Refused
from kernelsight.diagnosis.refusals import Refusals
from kernelsight.diagnosis.window import Interval

HOLDS = Refused(
    refusals=Refusals(Interval(3, 12), (), ()),
    duration=Duration(seconds=10, over_for_s=20),
    refused_share=0.5,
    waiting=1.0,
    ran=1.0,
    queue_for_a_job=False,
    by_pid={70: 3, 71: 5},
)
FAILS = {
    "refused_most_of_the_time": {"refused_share": 0.4},
    "few_go_on": {"ran": 1.1},
    "no_queue_of_jobs": {"queue_for_a_job": True},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
