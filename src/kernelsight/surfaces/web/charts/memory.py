"""Memory: who has it, and what the kernel does to get some back."""

from kernelsight.events.cgroup import Cgroup
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.surfaces.web.chart import Chart, Line, chart

_MEMORY = "memory"

chart(
    Chart(
        "memory-kinds",
        "Kinds of memory",
        "What the memory that is not free holds.",
        Memory,
        (
            Line("anonymous", (Memory.anon_kb,)),
            Line("page cache", (Memory.cached_kb, Memory.buffers_kb), (Memory.shmem_kb,)),
            Line("shared", (Memory.shmem_kb,)),
            Line("slab, can be freed", (Memory.slab_reclaimable_kb,)),
            Line("slab, cannot be freed", (Memory.slab_unreclaimable_kb,)),
            Line("page tables and stacks", (Memory.page_tables_kb, Memory.kernel_stack_kb)),
        ),
        "B",
        _MEMORY,
        stacked=True,
        rank=31,
    )
)
chart(
    Chart(
        "memory-available",
        "Available",
        "Memory that programs can get without swapping, and what is free at once.",
        Memory,
        (
            Line("available", (Memory.mem_available_kb,)),
            Line("free", (Memory.mem_free_kb,)),
            Line("total", (Memory.mem_total_kb,)),
        ),
        "B",
        _MEMORY,
        rank=32,
    )
)
chart(
    Chart(
        "memory-reclaim",
        "Reclaim",
        "Bytes of pages that the kernel frees: in the background, and directly, while a program waits for it.",
        Vmstat,
        (
            Line("in the background", (Vmstat.pgsteal_kswapd,)),
            Line("directly", (Vmstat.pgsteal_direct,)),
            Line("refaults of files", (Vmstat.workingset_refault_file,)),
            Line("refaults of anonymous pages", (Vmstat.workingset_refault_anon,)),
        ),
        "B/s",
        _MEMORY,
        rank=33,
    )
)
chart(
    Chart(
        "memory-swap",
        "Swap",
        "Bytes that are read from and written to swap.",
        Vmstat,
        (Line("in", (Vmstat.pswpin,)), Line("out", (Vmstat.pswpout,))),
        "B/s",
        _MEMORY,
        rank=34,
    )
)
chart(
    Chart(
        "memory-faults",
        "Page faults",
        "Faults that needed a disk (major) and all of them.",
        Vmstat,
        (Line("all", (Vmstat.pgfault,)), Line("major", (Vmstat.pgmajfault,))),
        "1/s",
        _MEMORY,
        rank=35,
    )
)
chart(
    Chart(
        "memory-dirty",
        "Not yet written",
        "Data in memory that is not on a disk yet.",
        Memory,
        (Line("dirty", (Memory.dirty_kb,)), Line("being written", (Memory.writeback_kb,))),
        "B",
        _MEMORY,
        rank=36,
    )
)
chart(
    Chart(
        "memory-groups",
        "Control groups",
        "Memory that each control group uses.",
        Cgroup,
        (Line("", (Cgroup.memory_current_bytes,)),),
        "B",
        _MEMORY,
        per=(Cgroup.cgroup,),
        whole_s=600,
        rank=37,
    )
)
