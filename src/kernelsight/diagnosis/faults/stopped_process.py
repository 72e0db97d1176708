"""The class `stopped_process`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

STOPPED_PROCESS = FaultClass(
    "stopped_process",
    meaning="A process was stopped, by a signal, a debugger or the freezer of its control group, and others "
    "wait for it.",
    needs=("process", "pending_wait|socket_owner|tcp_listener|file_lock_wait"),
    traits=Traits(stands_still=True),
)
