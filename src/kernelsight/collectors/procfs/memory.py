"""Memory of the machine, from /proc/meminfo (Documentation/filesystems/proc.rst), and the cache of ZFS."""

from __future__ import annotations

from contextlib import suppress

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import lines, number, pairs
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.memory import Memory

# The kernel's name of every column, in the columns' order.
_NAMES = {
    "mem_total_kb": b"MemTotal",
    "mem_free_kb": b"MemFree",
    "mem_available_kb": b"MemAvailable",
    "buffers_kb": b"Buffers",
    "cached_kb": b"Cached",
    "swap_total_kb": b"SwapTotal",
    "swap_free_kb": b"SwapFree",
    "active_kb": b"Active",
    "inactive_kb": b"Inactive",
    "dirty_kb": b"Dirty",
    "writeback_kb": b"Writeback",
    "swap_cached_kb": b"SwapCached",
    "active_anon_kb": b"Active(anon)",
    "inactive_anon_kb": b"Inactive(anon)",
    "active_file_kb": b"Active(file)",
    "inactive_file_kb": b"Inactive(file)",
    "unevictable_kb": b"Unevictable",
    "mlocked_kb": b"Mlocked",
    "anon_kb": b"AnonPages",
    "mapped_kb": b"Mapped",
    "shmem_kb": b"Shmem",
    "slab_kb": b"Slab",
    "slab_reclaimable_kb": b"SReclaimable",
    "slab_unreclaimable_kb": b"SUnreclaim",
    "kernel_stack_kb": b"KernelStack",
    "page_tables_kb": b"PageTables",
    "commit_limit_kb": b"CommitLimit",
    "committed_kb": b"Committed_AS",
    "huge_pages_total": b"HugePages_Total",
    "huge_pages_free": b"HugePages_Free",
    "huge_page_size_kb": b"Hugepagesize",
    "hugetlb_kb": b"Hugetlb",
}


@collector(source="procfs", emits=(Memory,))
class MemoryCollector:
    """Levels of memory: free, available, cached, dirty, swap."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "meminfo")
        self._arc: KernelFile | None = None
        with suppress(SourceUnavailableError):  # no ZFS here
            self._arc = KernelFile(host.proc / "spl/kstat/zfs/arcstats", records=True)

    def collect(self, now: int) -> list[Memory]:
        """Read it once."""
        memory = parse_meminfo(self._file.read(), now)
        if self._arc is not None:
            memory.zfs_arc_kb = parse_arcstats(self._arc.read())
        return [memory]

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._arc is not None:
            self._arc.close()


def parse_meminfo(text: bytes, now: int) -> Memory:
    """Parse lines such as ``MemFree:   24011452 kB``; what a kernel does not report is None.

    Raises:
        SourceUnavailableError: it is not meminfo.
    """
    with parsing("/proc/meminfo", text):
        values = pairs(lines(text), b":")
        if not values.keys() & _NAMES.values():
            raise KeyError("no MemTotal")
        return Memory(now, **{column: _amount(values.get(key)) for column, key in _NAMES.items()})


def parse_arcstats(text: bytes) -> int | None:
    """The size of ZFS's cache above its minimum (KiB), from lines such as ``size    4    7516192768``.

    None where one of the two is not told. (OpenZFS, module/zfs/arc.c: `arc_c_min` is what it keeps.)
    """
    rows = (line.split() for line in text.splitlines())
    values = {
        row[0]: int(row[2]) for row in rows if len(row) == 3 and row[0] in {b"size", b"c_min"} and row[2].isdigit()
    }
    if len(values) < 2:
        return None
    return max(values[b"size"] - values[b"c_min"], 0) // 1024


def _amount(value: bytes | None) -> int | None:
    return None if value is None else number(value.removesuffix(b" kB").strip())
