"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.children_seen_once import Parent
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = Parent(
    parent=Entity("process", "100", "sh"),
    run=Interval(3, 12),
    forks_per_s=100.0,
    children=5,
    all_children=10,
    seconds_met=2,
    rows=(),
    children_rows=(),
)
FAILS = {
    "costly": {"forks_per_s": 99.0},
    "one_parent": {"children": 4},
    "met_often": {"seconds_met": 1},
}
