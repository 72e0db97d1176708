"""Memory that runs out, and what the kernel does about it."""

from __future__ import annotations

from kernelsight.events.memory import Memory, OomKill, Vmstat
from kernelsight.signals.model import COUNT, MOVED, Harm, Measure, first_known, if_known, minus, product, rule
from kernelsight.signals.registry import declare

_HUGE = if_known(first_known(Memory.hugetlb_kb, product(Memory.huge_pages_total, Memory.huge_page_size_kb)))
"""What is set apart as huge pages of all sizes. Older kernels do not tell it, and those of the usual size stand in."""
MEMORY_USED_PERCENT = 90
"""From which on `memory_available_low` is raised."""
REFAULTS_PER_S = 2_500
"""From which on `refaults` (of the machine) and `cgroup_refaults` are raised, in pages."""

declare(
    __name__,
    rule(
        "memory_available_low",
        Memory,
        Measure(
            of=(Memory.mem_total_kb, minus(_HUGE), minus(Memory.mem_available_kb), minus(if_known(Memory.zfs_arc_kb))),
            per=(Memory.mem_total_kb, minus(_HUGE)),
            scale=100,
            unit="%",
        ),
        scope="machine",
        levels={"warning": MEMORY_USED_PERCENT, "critical": 99},
        raise_after_s=2,
        because="MemAvailable estimates the memory that programs can get without swapping "
        "(Documentation/filesystems/proc.rst). Reserved huge pages are left out, and the cache of "
        "ZFS counts as available. earlyoom ends programs when 10 % are left",
        harm=Harm("exhaustion", "almost no memory is left: programs wait for reclaim, or are killed"),
        healthy="a machine that has just the memory that its one program needs: for ever",
        summary="{value:.1f} % of the memory is in use and cannot be freed without swapping",
    ),
    rule(
        "swap_used_up",
        Memory,
        Measure(
            of=(Memory.swap_total_kb, minus(Memory.swap_free_kb)),
            per=(Memory.swap_total_kb,),
            scale=100,
            unit="%",
            least_per=1,
        ),
        scope="machine",
        levels={"warning": 80},
        raise_after_s=2,
        because="systemd-oomd acts at 90 % (SwapUsedLimit, oomd.conf(5)); once swap is full, the "
        "kernel cannot reclaim anonymous memory. Swap full of unused pages harms nobody; "
        "memory_stall and oom_kill show harm",
        healthy="swap full of pages that nobody uses: for ever",
        summary="{value:.1f} % of the swap space is used",
    ),
    rule(
        "direct_reclaim",
        Vmstat,
        # A machine has the counters of the zones that it has.
        Measure(
            of=(
                if_known(Vmstat.allocstall_dma),
                if_known(Vmstat.allocstall_dma32),
                if_known(Vmstat.allocstall_normal),
                if_known(Vmstat.allocstall_movable),
            ),
            unit="stalls/s",
        ),
        scope="machine",
        levels={"warning": 10},
        raise_after_s=2,
        because="kswapd frees memory in the background; a program that must free memory itself waits "
        "(Documentation/admin-guide/mm/concepts.rst, reclaim), some 0.1 to 10 ms each time",
        healthy="a fast copy through a full page cache: as long as it lasts",
        summary="{value:,.0f} times a second a program must free memory before it gets memory",
    ),
    rule(
        "refaults",
        Vmstat,
        Measure(of=(Vmstat.workingset_refault_anon, Vmstat.workingset_refault_file), unit="pages/s"),
        scope="machine",
        levels={"warning": REFAULTS_PER_S},
        raise_after_s=3,
        because="a refault reads a page again that was evicted (mm/workingset.c): 2,500 pages/s are "
        "10 MB/s of reads that more memory would save",
        healthy="a program that reads more files again and again than fit: as long as it does",
        summary="{value:,.0f} pages/s are read again shortly after their eviction",
    ),
    rule(
        "swapping_in",
        Vmstat,
        Measure(of=(Vmstat.pswpin,), unit="pages/s"),
        scope="machine",
        levels={"warning": 250},
        raise_after_s=3,
        because="a program waits for each page that is read back: 250 pages/s are 1 MB/s, which a "
        "disk manages at 4 KiB a request",
        healthy="programs that wake up after a long time, or swap in compressed memory (zram): some seconds",
        summary="{value:,.0f} pages/s are read back from swap",
    ),
    rule(
        "oom_kill",
        OomKill,
        Measure(of=(COUNT,), unit="kills/s"),
        scope="process",
        levels={"critical": 1},
        because="the kernel ends a process because memory ran out (Documentation/admin-guide/mm/concepts.rst)",
        harm=Harm("failure", "a process is killed"),
        summary="{comm} ({pid}) was killed because memory ran out; {trigger_comm} had asked for some",
    ),
    rule(
        "oom_kills",
        Vmstat,
        Measure(of=(Vmstat.oom_kill,), unit="kills/s"),
        scope="machine",
        levels={"critical": MOVED},
        because="as oom_kill, where no tracer names the process",
        harm=Harm("failure", "a process is killed"),
        summary="a process was killed because memory ran out",
    ),
)
