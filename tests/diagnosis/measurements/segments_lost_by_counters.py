"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.lost_elsewhere import OtherCauses
from kernelsight.diagnosis.mechanisms.segments_lost_by_counters import Counted
from kernelsight.diagnosis.window import Interval

HOLDS = Counted(
    interface="lo",
    run=Interval(3, 12),
    sent=1000.0,
    sent_again=12.0,
    requests=2.0,
    dropped_by_listeners=4.0,
    causes=OtherCauses(queue_is_full=False, dropped_here=False, seen_on_loopback=True),
    deltas=(),
)
FAILS = {
    "good_part": {"requests": 3.0},
    "no_full_queue": {"causes": OtherCauses(queue_is_full=True, dropped_here=False, seen_on_loopback=True)},
    "not_dropped_here": {"causes": OtherCauses(queue_is_full=False, dropped_here=True, seen_on_loopback=True)},
    "not_for_listeners": {"dropped_by_listeners": 5.0},
    "not_on_loopback": {"causes": OtherCauses(queue_is_full=False, dropped_here=False, seen_on_loopback=False)},
}
DOES_NOT_APPLY = {
    "not_on_loopback": {"causes": OtherCauses(queue_is_full=False, dropped_here=False, seen_on_loopback=None)}
}
