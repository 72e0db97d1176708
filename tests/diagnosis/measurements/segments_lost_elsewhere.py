"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.lost_elsewhere import OtherCauses
from kernelsight.diagnosis.mechanisms.segments_lost_elsewhere import Lost
from kernelsight.diagnosis.window import Interval

HOLDS = Lost(
    interface="lo",
    run=Interval(3, 12),
    seconds=5,
    segments=10,
    sent=1000.0,
    dropped_by_listeners=4,
    causes=OtherCauses(queue_is_full=False, dropped_here=False, seen_on_loopback=True),
    again=(),
)
FAILS = {
    "goes_on": {"seconds": 4},
    "good_part": {"sent": 1001.0},
    "no_full_queue": {"causes": OtherCauses(queue_is_full=True, dropped_here=False, seen_on_loopback=True)},
    "not_dropped_here": {"causes": OtherCauses(queue_is_full=False, dropped_here=True, seen_on_loopback=True)},
    "not_for_listeners": {"dropped_by_listeners": 5},
    "not_on_loopback": {"causes": OtherCauses(queue_is_full=False, dropped_here=False, seen_on_loopback=False)},
}
DOES_NOT_APPLY = {
    "not_on_loopback": {"causes": OtherCauses(queue_is_full=False, dropped_here=False, seen_on_loopback=None)}
}
