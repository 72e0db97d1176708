"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.threads_end_at_once import Starting
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = Starting(
    process=Entity("process", "100", "worker"),
    run=Interval(3, 12),
    duration=Duration(seconds=10, over_for_s=20),
    threads=20_000,
    ran_s=10.0,
    rows=(),
)
FAILS = {
    "very_many_threads": {"threads": 19_999},
    "no_time_for_a_job": {"ran_s": 10.1},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
