"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from domains import GROUP

from kernelsight.diagnosis.mechanisms.working_set_does_not_fit import Blame, ShortMemory
from kernelsight.diagnosis.window import Interval

HOLDS = ShortMemory(
    domain=GROUP,
    run=Interval(3, 12),
    used_share=0.9,
    refaulted_kb=GROUP.limit_kb,
    read_kb=GROUP.limit_kb / 0.3,
    stalled_share=0.0,
    delayed=(),
    somebody_is_killed=False,
    blame=Blame(GROUP.entity),
    deltas=(),
    stalls=(),
)
FAILS = {
    "full": {"used_share": 0.89},
    "somebody_suffers": {"refaulted_kb": 0.99 * GROUP.limit_kb, "stalled_share": 0.09},
    "was_in_memory": {"refaulted_kb": 0.99 * GROUP.limit_kb},
    "nobody_is_killed": {"somebody_is_killed": True},
}
