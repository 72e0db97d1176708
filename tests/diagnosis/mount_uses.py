"""Space and inodes that are used up, for measurements: what holds for both, and what makes each check fail."""

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.fillers import Filler
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.mount_use import MountUse
from kernelsight.diagnosis.window import Interval

LOGGER = Entity("process", "70", "logger")
REFUSED = (Failures(LOGGER, "ENOSPC", ("write",), 5, 1, None),)
EMPTY_UNUSED = {"left": 0.0, "failed_here": (), "ends_soon": False}


def used_up(resource):
    return MountUse(
        mount="/srv",
        resource=resource,
        left=1.0,
        whole=1000.0,
        decline=None,
        ends_soon=False,
        is_full=True,
        comes_back=False,
        failed_here=REFUSED,
        failed_somewhere=(),
        run=Interval(3, 12),
        rows=(),
        filler=Filler(LOGGER, "it wrote", None),
    )


APPLIES = {
    "ran_out": {"left": 0.0},
    "nothing_is_left": EMPTY_UNUSED,
}
FAILS = {
    "gives_nothing_back": {"comes_back": True},
    "calls_on_it_fail": {"failed_here": ()},
    "runs_out_now": {"failed_here": ()},
    "ran_out": {"failed_here": ()},
    "nothing_is_left": {"left": 1.0},
    "filler_is_known": {"filler": None},
}
DOES_NOT_APPLY = {
    "runs_out_now": {"left": 0.0},
    "nothing_is_left": {"failed_here": (), "failed_somewhere": REFUSED},
}
