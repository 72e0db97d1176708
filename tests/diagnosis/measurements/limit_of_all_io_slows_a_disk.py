"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.devices import Device
from kernelsight.diagnosis.io_limits import IO_LIMITS
from kernelsight.diagnosis.mechanisms.limit_of_all_io_slows_a_disk import LimitedDevice
from kernelsight.diagnosis.storage import Waiter
from kernelsight.diagnosis.window import Interval

HOLDS = LimitedDevice(
    device=Device("sdb", []),
    run=Interval(3, 12),
    limited=IO_LIMITS[0],
    waiting=(Waiter(12, "job", ("job", None)),),
    waits_are_recorded=True,
    deltas=(),
)
FAILS = {
    "processes_wait": {"waiting": ()},
    "waits_before_the_device": {"waiting": (), "waits_are_recorded": False},
}
