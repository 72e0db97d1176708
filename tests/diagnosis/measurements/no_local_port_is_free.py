"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.mechanisms.no_local_port_is_free import Refused
from kernelsight.diagnosis.model import Entity

CLIENT = Entity("process", "70", "client")


def refused(count=3, *calls):
    return Failures(CLIENT, "EADDRNOTAVAIL", calls, count, 1, None)


HOLDS = Refused(failures=refused(3, "connect"), time_wait=100, tcp=())
FAILS = {
    "asks_for_a_port": {"failures": refused(3, "sendto")},
    "again_and_again": {"failures": refused(2, "bind")},
    "many_in_time_wait": {"time_wait": 99},
}
