"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.closed_connections_stay_open import Unclosed
from kernelsight.diagnosis.model import Entity

HOLDS = Unclosed(
    process=Entity("process", "70", "server"), rows=(), close_wait=20, established=20, grows=True, machine=None
)
FAILS = {
    "become_more": {"grows": False},
    "most_are_such": {"established": 21},
}
