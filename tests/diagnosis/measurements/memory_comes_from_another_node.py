"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.mechanisms.memory_comes_from_another_node import FullNode
from kernelsight.diagnosis.window import Interval

HOLDS = FullNode(
    node=1,
    run=Interval(3, 12),
    duration=Duration(10, 0),
    foreign=10_000.0,
    hits=90_000.0,
    free_share=0.09,
    room_share=0.2,
    migrated=0.0,
    growing=(),
    deltas=(),
    vmstat=(),
)
FAILS = {
    "good_part": {"hits": 90_001.0},
    "node_is_full": {"free_share": 0.1},
    "another_has_room": {"room_share": 0.19},
    "lasts": {"duration": Duration(5, 4)},
}
DOES_NOT_APPLY = {"node_is_full": {"free_share": None}, "another_has_room": {"room_share": None}}
