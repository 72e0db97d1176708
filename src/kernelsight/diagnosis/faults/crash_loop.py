"""The class `crash_loop`."""

from kernelsight.diagnosis.fault import FaultClass

CRASH_LOOP = FaultClass(
    "crash_loop",
    meaning="A program that should stay is started again and again, and fails each time soon after its start.",
    needs=("process_exit",),
    governed_by=("kernel.panic_on_*", "vm.overcommit_*", "vm.max_map_count"),
)
