"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.file_stays_locked import LockedFile
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = LockedFile(
    file="fe:00:7",
    run=Interval(3, 12),
    duration=Duration(seconds=10, over_for_s=20),
    waits=15,
    waited_seconds=5,
    holder=Entity("process", "70", "keeper"),
    held=8,
    holder_programs=2,
    queue_for_a_job=False,
    waiters=(80, 81),
    rows=(),
)
FAILS = {
    "waited_for_most_of_the_time": {"waited_seconds": 4},
    "several_wait": {"waits": 14},
    "one_holder": {"held": 7},
    "no_queue_of_jobs": {"queue_for_a_job": True},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
