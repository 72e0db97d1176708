"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.accept_queue_full_elsewhere import Refusing
from kernelsight.diagnosis.model import Entity

HOLDS = Refusing(Entity("process", "70", "shop"), seconds=2, drops=())
FAILS = {"again": {"seconds": 1}}
