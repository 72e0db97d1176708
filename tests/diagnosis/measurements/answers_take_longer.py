"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.calls import Calls
from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.answers_take_longer import Late
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

CALLS = Calls(80, "client", 70, "base", "127.0.0.1", 5432)
HOLDS = Late(
    run=Interval(10, 19),
    duration=Duration(seconds=10, over_for_s=0),
    server=Entity("process", "70", "base"),
    place="127.0.0.1:5432",
    clients=(CALLS, CALLS),
    behind=(),
    felt_s=0.3,
    times_longer=5.0,
    ran=0.2,
    held_back=False,
    unanswered_datagrams=0,
    may_wait_for_an_event=False,
)
FAILS = {
    "no_event": {"may_wait_for_an_event": True},
    "answered_sooner_before": {"times_longer": 4.9},
    "others_depend_on_it": {"clients": (CALLS,)},
    "hardly_computes": {"ran": 0.21},
    "no_quota": {"held_back": True},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
}
DOES_NOT_APPLY = {"hardly_computes": {"ran": None}}
