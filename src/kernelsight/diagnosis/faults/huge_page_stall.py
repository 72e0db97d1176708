"""The class `huge_page_stall`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

HUGE_PAGE_STALL = FaultClass(
    "huge_page_stall",
    meaning="Programs wait in page faults while the kernel moves pages about to make a huge page (compaction), though "
    "memory is free.",
    needs=("vmstat", "page_fault_stats|pressure"),
    parts=("memory",),
    traits=Traits(spends_cpu=True),
    governed_by=(
        "/sys/kernel/mm/transparent_hugepage/*",
        "vm.compact*",
        "vm.nr_hugepages*",
        "vm.extfrag_threshold",
        "vm.min_free_kbytes",
    ),
)
