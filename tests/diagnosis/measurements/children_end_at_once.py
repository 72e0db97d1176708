"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.duration import Duration
from kernelsight.diagnosis.forking import Forking
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Interval
from kernelsight.events.syscalls import SyscallError

HOLDS = Forking(
    comm="sh",
    parent=Entity("process", "100", "sh"),
    run=Interval(3, 12),
    duration=Duration(seconds=10, over_for_s=20),
    forks=1000,
    exits=500,
    lived_ms=10_000.0,
    most_forks=300,
    each_other=False,
    grandchildren=500,
    asked=499,
    rows=(),
    refused=(SyscallError(1, pid=100, comm="sh", syscall_name="clone", error="EAGAIN", count=1),),
)
FAILS = {
    "very_many_children": {"forks": 299},
    "one_parent": {"most_forks": 299},
    "lasts": {"duration": Duration(seconds=5, over_for_s=4)},
    "costly": {"forks": 999},
    "end_as_fast": {"exits": 499},
    "short_lives": {"lived_ms": 50_001.0},
    "hardly_live": {"lived_ms": 10_001.0},
    "no_other_programs": {"grandchildren": 501},
    "not_asked": {"asked": 500},
    "refused_more": {"refused": ()},
}
