"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.mechanisms.quota_or_unseen_space_used_up import Refused
from kernelsight.diagnosis.model import Entity


def refused(error):
    return Failures(Entity("process", "70", "job"), error, ("write",), 5, 1, None)


HOLDS = Refused(failures=refused("EDQUOT"), mount=None)
FAILS = {"is_a_quota": {"failures": refused("ENOSPC")}}
