"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from dataclasses import replace

from measurements.holder_waits_for_its_client import WAIT

from kernelsight.diagnosis.mechanisms.answer_of_another_does_not_come import Silent
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import NS_PER_S

HOLDS = Silent(
    target=Entity("process", "70", "base"),
    place="127.0.0.1:5432",
    waits=(replace(WAIT, latest_ns=103 * NS_PER_S),),
    behind=(WAIT,),
    is_datagram=True,
    may_wait_for_an_event=False,
    asks_the_time=False,
    in_a_lock=False,
    times_longer=5.0,
    late_answers=0,
    ran=0.2,
)
FAILS = {
    "no_event": {"may_wait_for_an_event": True},
    "waits_long": {"waits": (replace(WAIT, waited_s=2.9),)},
    "answered_soon_before": {"times_longer": 4.9},
    "none_comes": {"late_answers": 1},
    "does_nothing": {"ran": 0.21},
    "clients_wait_behind": {"behind": ()},
    "question_is_a_datagram": {"is_datagram": False},
    "somebody_waits": {"asks_the_time": True},
    "all_together": {"waits": (replace(WAIT, latest_ns=104 * NS_PER_S),)},
    "waits_very_long": {"waits": (replace(WAIT, waited_s=11.9),)},
    "waits_for_no_lock": {"in_a_lock": True},
}
APPLIES = {
    "none_comes": {"times_longer": None},
    "all_together": {"times_longer": None, "is_datagram": False},
    "waits_very_long": {
        "times_longer": None,
        "is_datagram": False,
        "waits": (replace(WAIT, waited_s=12.0),),
    },
}
DOES_NOT_APPLY = {
    "answered_soon_before": {"times_longer": None},
    "does_nothing": {"ran": None},
    "all_together": {"times_longer": None},
}
