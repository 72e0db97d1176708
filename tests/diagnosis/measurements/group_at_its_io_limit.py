"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.io_limits import IO_LIMITS
from kernelsight.diagnosis.mechanisms.group_at_its_io_limit import LimitedGroup
from kernelsight.diagnosis.storage import Waiter
from kernelsight.diagnosis.window import Interval

HOLDS = LimitedGroup(
    group="/batch",
    run=Interval(3, 12),
    limited=IO_LIMITS[0],
    waiting=(Waiter(12, "job", ("job", "/batch")),),
    waits_are_recorded=True,
    deltas=(),
)
FAILS = {"members_wait": {"waiting": ()}}
