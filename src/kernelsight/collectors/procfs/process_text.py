"""The files of one process, /proc/PID/*: text in, numbers out (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from typing import NamedTuple

_LONGEST_NAME = 15  # TASK_COMM_LEN, without the NUL
_PF_KTHREAD = 0x00200000  # include/linux/sched.h


class Stat(NamedTuple):
    """What /proc/PID/stat says, times in clock ticks, memory in bytes and pages."""

    comm: str
    state: str
    ppid: int
    is_kernel: bool
    """A thread of the kernel, which has no memory of its own."""
    minor_faults: int
    major_faults: int
    utime: int
    stime: int
    nice: int
    threads: int
    start: int
    vsize: int
    rss_pages: int


class Status(NamedTuple):
    """What /proc/PID/status adds; the switches are those of the main thread alone."""

    uid: int
    rss_kb: int | None
    """Exact since Linux 6.16, where what /proc/PID/stat says lacks what each CPU has not added yet."""
    anon_kb: int | None
    swap_kb: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None


class Io(NamedTuple):
    """What /proc/PID/io says."""

    read_chars: int
    write_chars: int
    read_syscalls: int
    write_syscalls: int
    read_bytes: int
    write_bytes: int
    cancelled_write_bytes: int


def parse_stat(text: bytes) -> Stat:
    """Parse /proc/PID/stat.

    The name stands in parentheses and may itself hold any byte but NUL: spaces, parentheses and
    newlines are the process's choice, so the last parenthesis ends it.

    Raises:
        ValueError: it is not that.
    """
    end = text.rindex(b")")
    fields = text[end + 2 :].split(b" ", 22)
    if len(fields) < 22:
        raise ValueError(f"/proc/PID/stat has too few fields: {text[:80]!r}")
    return Stat(
        comm=task_name(text[text.index(b"(") + 1 : end]),
        state=fields[0].decode("ascii", "replace"),
        ppid=int(fields[1]),
        is_kernel=bool(int(fields[6]) & _PF_KTHREAD),
        minor_faults=int(fields[7]),
        major_faults=int(fields[9]),
        utime=int(fields[11]),
        stime=int(fields[12]),
        nice=int(fields[16]),
        threads=int(fields[17]),
        start=int(fields[19]),
        vsize=int(fields[20]),
        rss_pages=int(fields[21]),
    )


def task_name(raw: bytes) -> str:
    """The name of a task as the scheduler and every tracer know it.

    procfs shows the whole name of a kernel thread, and adds to a kworker's what it works on at the
    moment (``kworker/u4:1-writeback``); a label should be the same from every source, and not change
    with every sample.
    """
    if raw.startswith(b"kworker/") and not raw.startswith(b"kworker/R-"):
        raw = raw.split(b"-", 1)[0].split(b"+", 1)[0]
    return raw[:_LONGEST_NAME].decode("utf-8", "backslashreplace")


def parse_status(text: bytes) -> Status:
    """Parse /proc/PID/status; a process that gave back its memory (a zombie) has 0 kB of it.

    Raises:
        ValueError: it is not that.
    """
    rss, anon, swap = _number(text, b"\nVmRSS:"), _number(text, b"\nRssAnon:"), _number(text, b"\nVmSwap:")
    if rss is None:
        rss = anon = swap = 0
    start = text.index(b"\nUid:") + 5
    return Status(
        uid=int(text[start : text.index(b"\n", start)].split()[1]),
        rss_kb=rss,
        anon_kb=anon,
        swap_kb=swap,
        voluntary_switches=_number(text, b"\nvoluntary_ctxt_switches:"),
        involuntary_switches=_number(text, b"\nnonvoluntary_ctxt_switches:"),
    )


def _number(text: bytes, label: bytes) -> int | None:
    start = text.find(label)
    if start < 0:
        return None
    start += len(label)
    end = text.find(b"\n", start)
    return int(text[start : end if end >= 0 else None].removesuffix(b" kB"))


def parse_io(text: bytes) -> Io:
    """Parse /proc/PID/io.

    Raises:
        ValueError: it is not that.
    """
    numbers = [int(line.rpartition(b" ")[2]) for line in text.splitlines()]
    if len(numbers) != len(Io._fields):
        raise ValueError(f"/proc/PID/io has {len(numbers)} lines: {text[:80]!r}")
    return Io._make(numbers)


def parse_run_delay(text: bytes) -> int | None:
    """Nanoseconds that one task waited for a CPU, from its schedstat (Documentation/scheduler/sched-stats.rst).

    Three zeros of a task that is alive are a kernel that does not count (no CONFIG_SCHED_INFO): None.

    Raises:
        ValueError: it is not that.
    """
    ran, waited, slices = text.split()
    return int(waited) if ran != b"0" or slices != b"0" else None


def parse_fd_limit(text: bytes) -> int | None:
    """The soft limit of open files in /proc/PID/limits; None: unlimited, or not told."""
    start = text.find(b"Max open files")
    words = text[start + 14 : start + 60].split() if start >= 0 else []
    return int(words[0]) if words and words[0].isdigit() else None


class Groups(NamedTuple):
    """What /proc/PID/cgroup says."""

    path: str | None
    """The group whose limits the process has: of version 2 wherever that groups at all; in a hybrid set-up,
    where it does not, of version 1, of the CPU controller before memory's before any other that does; `/` when
    none does."""
    v2_path: str | None
    """The group in version 2; None: this kernel does not have it."""
    memory_path: str | None
    """The group that its memory counts to: of the hierarchy of version 1 that has the memory controller, else of
    version 2."""
    io_path: str | None
    """The group that its I/O counts to, likewise."""


def parse_cgroup(text: bytes) -> Groups:
    """Parse /proc/PID/cgroup."""
    v2_path = None
    v1: dict[bytes, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(b":")
        controllers, _, raw = rest.partition(b":")
        here = raw.removesuffix(b" (deleted)").decode("utf-8", "backslashreplace")
        if number == b"0":
            v2_path = here
        elif not controllers.startswith(b"name="):
            v1 |= dict.fromkeys(controllers.split(b","), here)
    places = (v2_path, *(v1.get(name) for name in (b"cpu", b"memory", *v1)))
    path = next((place for place in places if place not in (None, "", "/")), "/")
    return Groups(path, v2_path, v1.get(b"memory", v2_path), v1.get(b"blkio", v2_path))
