"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.half_open_connections import HalfOpen
from kernelsight.diagnosis.model import Entity

HOLDS = HalfOpen(
    listener=Entity("process", "70", "shop"),
    port=443,
    peers=40,
    asked_in_vain=True,
    data_sent_again=39,
    answered_again=40,
    answers=(),
    asked=(),
    dropped=(),
)
FAILS = {"asked_in_vain": {"asked_in_vain": False}, "data_arrives": {"data_sent_again": 40}}
