"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.devices import Device
from kernelsight.diagnosis.mechanisms.one_program_keeps_a_disk_busy import BusyDisk
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval

HOLDS = BusyDisk(
    device=Device("sda", []),
    run=Interval(3, 12),
    busy_share=0.8,
    queue=8.0,
    user=None,
    culprit=Entity("process", "70", "scan"),
    user_share=0.5,
    waiting_tasks=0.0,
    writes_in_background=False,
    victims=(),
    stalled_share=0.3,
    answers_slowly=False,
    delays_commits=False,
)
FAILS = {
    "others_wait": {"stalled_share": 0.29},
    "wants_more": {"queue": 7.9, "waiting_tasks": 1.4},
    "one_program": {"user_share": 0.49},
    "answers_as_usual": {"answers_slowly": True},
    "delays_no_commits": {"delays_commits": True},
}
