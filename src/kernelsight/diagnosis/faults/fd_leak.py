"""The class `fd_leak`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

FD_LEAK = FaultClass(
    "fd_leak",
    meaning="The descriptors of one process grow steadily towards its limit, or there are none left.",
    needs=("process|syscall_error",),
    traits=Traits(uses_up=True),
    governed_by=("fs.file-max", "fs.nr_open"),
)
