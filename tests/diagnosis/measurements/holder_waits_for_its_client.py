"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from dataclasses import replace

from kernelsight.diagnosis.mechanisms.holder_waits_for_its_client import Held
from kernelsight.diagnosis.unanswered import Awaited
from kernelsight.diagnosis.window import NS_PER_S

WAIT = Awaited(
    pid=80,
    comm="client",
    waits_for="answer",
    peer_pid=70,
    peer_comm="base",
    peer_waits_in="futex",
    transport="tcp",
    address="127.0.0.1",
    port=5432,
    connections=2,
    waited_s=3.0,
    began_ns=100 * NS_PER_S,
    latest_ns=100 * NS_PER_S,
    rows=(),
)
HOLDER = replace(WAIT, pid=71, waits_for="request", peer_pid=81, connections=1, latest_ns=90 * NS_PER_S)
HOLDS = Held(
    waits=(WAIT,),
    holder=HOLDER,
    others=2,
    of_its_own=True,
    waits_elsewhere=False,
    times_longer=5.0,
    late_answers=0,
    ran=0.2,
)
FAILS = {
    "waits_long": {"waits": (replace(WAIT, waited_s=2.9),)},
    "answered_soon_before": {"times_longer": 4.9},
    "none_comes": {"late_answers": 1},
    "does_nothing": {"ran": 0.21},
    "of_its_own": {"of_its_own": False},
    "idle_just_before": {"holder": replace(HOLDER, latest_ns=89 * NS_PER_S)},
    "several_wait": {"waits": (replace(WAIT, connections=1),)},
    "several_wait_from_the_beginning": {"waits": (replace(WAIT, connections=1),)},
    "waits_for_nobody_else": {"waits_elsewhere": True},
}
APPLIES = {"none_comes": {"times_longer": None}, "several_wait_from_the_beginning": {"times_longer": None}}
DOES_NOT_APPLY = {"answered_soon_before": {"times_longer": None}, "does_nothing": {"ran": None}}
