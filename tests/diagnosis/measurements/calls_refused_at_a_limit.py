"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.limit_use import Holding, LimitUse
from kernelsight.diagnosis.limits import limits_of
from kernelsight.diagnosis.mechanisms.calls_refused_at_a_limit import Refused
from kernelsight.diagnosis.model import Entity
from kernelsight.events.limit import Limit
from kernelsight.events.syscalls import SyscallError

[WATCHES] = limits_of("inotify_add_watch", "ENOSPC")
[MAPPINGS] = limits_of("munmap", "ENOMEM")
[AMBIGUOUS] = [limit for limit in limits_of("mmap", "ENOMEM") if limit.is_ambiguous]


def failed(count):
    return (SyscallError(1, pid=70, comm="ide", syscall_name="inotify_add_watch", error="ENOSPC", count=count),)


def used(number):
    return LimitUse((Limit(1, WATCHES.name, None, number, 100),))


HOLDS = Refused(
    limit=WATCHES,
    rows=failed(3),
    use=used(98),
    holder=Holding(Entity("process", "70", "ide"), 90, 0.9, None),
)
APPLIES = {"memory_is_left": {"limit": MAPPINGS}}
FAILS = {
    "means_this_limit": {"limit": AMBIGUOUS},
    "again_and_again": {"rows": failed(2)},
    "limit_is_met": {"use": used(97)},
    "memory_is_left": {"memory_is_left": False},
    "holder_is_known": {"holder": None},
}
DOES_NOT_APPLY = {"limit_is_met": {"use": LimitUse(())}}
