"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.accept_queue_full import AcceptQueue
from kernelsight.diagnosis.model import Entity

HOLDS = AcceptQueue(
    listener=Entity("process", "70", "shop"), port=443, overflows=1.0, fill=1.0, fullest=1.2, queue=(), refused=()
)
FAILS = {
    "overflows": {"overflows": 0.0},
    "seen_full": {"fill": 0.99},
    "half_full": {"fill": 0.49},
    "fullest": {"fill": 0.5, "fullest": 0.6},
}
