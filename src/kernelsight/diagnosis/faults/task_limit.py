"""The class `task_limit`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

TASK_LIMIT = FaultClass(
    "task_limit",
    meaning="Programs cannot start processes or threads: a control group, a user or the machine has as many as it may "
    "have.",
    needs=("cgroup|syscall_error",),
    traits=Traits(uses_up=True),
    governed_by=("kernel.pid_max", "kernel.threads-max", "user.max_pid_namespaces"),
)
