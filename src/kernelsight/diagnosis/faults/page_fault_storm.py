"""The class `page_fault_storm`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

PAGE_FAULT_STORM = FaultClass(
    "page_fault_storm",
    meaning="One process faults for pages at a high rate without growing, and spends its time in the kernel for it.",
    needs=("page_fault_stats|process",),
    parts=("memory",),
    felt_as="storage",
    traits=Traits(spends_cpu=True),
    governed_by=("/sys/kernel/mm/*", "vm.overcommit_*", "kernel.numa_balancing*"),
)
