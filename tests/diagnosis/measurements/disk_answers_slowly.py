"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.devices import Device
from kernelsight.diagnosis.mechanisms.disk_answers_slowly import SlowDisk
from kernelsight.diagnosis.window import Interval

HOLDS = SlowDisk(
    device=Device("dm-0", []),
    run=Interval(3, 12),
    queue=4.0,
    requests_per_s=10.0,
    latency_s=0.08,
    latency_before_s=None,
    victims=(),
    stalled_share=0.3,
    is_slow_below=False,
)
FAILS = {
    "few_requests": {"queue": 4.1},
    "somebody_waits": {"stalled_share": None},
    "not_slow_below": {"is_slow_below": True},
}
