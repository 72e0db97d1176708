"""Limits of tasks, for measurements: what holds for all of them, and what makes each shared check fail."""

from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.task_use import Owner, TaskUse
from kernelsight.events.syscalls import SyscallError

POOL = Entity("process", "70", "pool")


def refused(count):
    return (SyscallError(1, pid=70, comm="pool", count=count),)


def met(*, have_ended):
    return TaskUse(
        name="pids.max",
        place=Entity("cgroup", "/app", "/app"),
        used=100,
        maximum=100,
        refusals=(),
        failed=refused(3),
        growth=None,
        shown=(),
        owner=Owner(POOL, 90, 100, have_ended=have_ended, evidence=None),
    )


FAILS = {
    "forks_refused": {"failed": ()},
    "again_and_again": {"failed": refused(2)},
}
