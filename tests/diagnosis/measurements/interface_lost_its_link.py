"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.interface_lost_its_link import LostLink
from kernelsight.events.hardware import Link
from kernelsight.events.tcp import TcpRetransmitEvent

ROWS = [Link(1, "eth0", True, "up", 1, 0), Link(2, "eth0", True, "down", 1, 1)]
AGAIN = (TcpRetransmitEvent(3, state="established", interface_name="eth0", segments=1),)
HOLDS = LostLink(
    "eth0", 2, 1, is_down=True, packets_per_s=1.0, more_elsewhere_per_s=0.9, device_type=None, rows=ROWS, again=AGAIN,
    messages=(),
)  # fmt: skip
FAILS = {
    "stays_or_comes_again": {"is_down": False},
    "was_used": {"packets_per_s": 0.9},
    "is_missed": {"again": ()},
    "not_taken_over": {"more_elsewhere_per_s": 1.0},
    "link_is_its_own": {"device_type": "bridge"},
}
DOES_NOT_APPLY = {"was_used": {"packets_per_s": None}, "not_taken_over": {"packets_per_s": None}}
