"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.mechanisms.descriptors_stay_open import OpenDescriptors
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.trend import Trend
from kernelsight.events.process import Process

SERVER = Entity("process", "70", "server")


def refused(count):
    return Failures(SERVER, "EMFILE", ("accept4",), count, 1, None)


HOLDS = OpenDescriptors(
    process=SERVER,
    rows=(),
    growth=Trend((), 10.0, 100.0, 200.0, Process.fds),
    limit=1024,
    until_s=82.4,
    ends_soon=True,
    refused=None,
    near_limit=None,
    are_unclosed_connections=False,
)
APPLIES = {
    "near_its_limit": {"ends_soon": False, "refused": refused(3), "near_limit": True},
    "no_single_try": {"ends_soon": False, "refused": refused(2), "near_limit": None},
}
FAILS = {
    "keeps_opening": {"growth": None},
    "near_its_limit": {"near_limit": False},
    "no_single_try": {"near_limit": False},
    "no_unclosed_connections": {"are_unclosed_connections": True},
}
DOES_NOT_APPLY = {
    "near_its_limit": {"ends_soon": False, "refused": refused(2), "near_limit": False},
    "no_single_try": {"ends_soon": False, "refused": refused(3), "near_limit": False},
}
