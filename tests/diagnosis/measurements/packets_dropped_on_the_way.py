"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.packets_dropped_on_the_way import Dropped
from kernelsight.diagnosis.window import Interval

HOLDS = Dropped(
    interface="near0",
    run=Interval(3, 12),
    damaged=False,
    lost=10,
    carried=2000.0,
    here=False,
    sent_again=1,
    sent_again_s=3,
    like_the_others=False,
    only_requests=False,
    table_is_full=False,
    drops=(),
    again=(),
)
FAILS = {
    "many": {"lost": 9},
    "good_part": {"carried": 2001.0},
    "missed": {"sent_again_s": 2},
    "not_only_requests": {"only_requests": True},
    "table_has_room": {"table_is_full": True},
}
DOES_NOT_APPLY = {"good_part": {"carried": None}, "table_has_room": {"table_is_full": None}}
