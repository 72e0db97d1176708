"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.connect_waits_for_accept import Connecting
from kernelsight.diagnosis.window import Interval

HOLDS = Connecting(listener_pid=70, run=Interval(3, 12), seconds=2, waited_s=9.0, edges=())
FAILS = {"again": {"seconds": 1}}
