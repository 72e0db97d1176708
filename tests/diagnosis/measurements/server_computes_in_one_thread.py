"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.answers import Served
from kernelsight.diagnosis.cpu_time import Use
from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.server_computes_in_one_thread import Computing
from kernelsight.diagnosis.window import Interval

HOLDS = Computing(
    run=Interval(10, 19),
    duration=Duration(seconds=10, over_for_s=0),
    server=Use(10, "server", "/"),
    served=Served(),
    clients=(20, 30),
    waited_s=20.0,
    wait_s=0.05,
    times_longer=5.0,
    requests_before=5.0,
    requests=0.0,
    queued_s=0.25,
    unread=0.0,
    work_times_longer=4.9,
    ran=0.85,
    kept_from_cpu_share=0.15,
    busiest_share=0.9,
    held_back=False,
)
FAILS = {
    "wait_long": {"wait_s": 0.049},
    "waited_less_before": {"times_longer": 4.9},
    "requests_queue": {"queued_s": 0.24},
    "several_wait": {"clients": (20,)},
    "is_asked": {"requests_before": 4.0},
    "computes_all_the_time": {"ran": 0.84},
    "has_a_cpu": {"kept_from_cpu_share": 0.16},
    "in_one_thread": {"busiest_share": 0.89},
    "no_quota": {"held_back": True},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
APPLIES = {"requests_queue": {"times_longer": None}}
DOES_NOT_APPLY = {"in_one_thread": {"busiest_share": None}, "waited_less_before": {"times_longer": None}}
