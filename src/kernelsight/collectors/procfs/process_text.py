"""The files of one process, /proc/PID/*: text in, numbers out (Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import re
from typing import NamedTuple

from kernelsight.collectors.damage import note
from kernelsight.collectors.text import integer, lines, name, number, pairs, without_cut
from kernelsight.linux.cgroups import parse_membership

_LONGEST_NAME = 15  # TASK_COMM_LEN, without the NUL
_PF_KTHREAD = 0x00200000  # include/linux/sched.h
_OF_MEMORY = (b"\nVm", b"\nRss")


class Stat(NamedTuple):
    """What /proc/PID/stat says, times in clock ticks, memory in bytes and pages."""

    comm: str
    state: str
    ppid: int | None
    is_kernel: bool
    """A thread of the kernel, which has no memory of its own."""
    minor_faults: int | None
    children_faults: int | None
    """Minor faults of children that have ended and were waited for, and of theirs."""
    major_faults: int | None
    utime: int | None
    stime: int | None
    nice: int | None
    threads: int
    start: int
    vsize: int | None
    rss_pages: int


class Status(NamedTuple):
    """What /proc/PID/status adds; the switches are those of the main thread alone."""

    uid: int | None
    rss_kb: int | None
    """Exact since Linux 6.16, where what /proc/PID/stat says lacks what each CPU has not added yet."""
    anon_kb: int | None
    swap_kb: int | None
    voluntary_switches: int | None
    involuntary_switches: int | None


_NOTHING = Status(None, None, None, None, None, None)


class Io(NamedTuple):
    """What /proc/PID/io says."""

    read_chars: int | None
    write_chars: int | None
    read_syscalls: int | None
    write_syscalls: int | None
    read_bytes: int | None
    write_bytes: int | None
    cancelled_write_bytes: int | None


_IO = (b"rchar", b"wchar", b"syscr", b"syscw", b"read_bytes", b"write_bytes", b"cancelled_write_bytes")
"""The kernel's names of the columns, in their order."""
_WHOLE_IO = re.compile(b"".join(rb"%b: ([0-9]{1,18})\n" % label for label in _IO))


def parse_stat(text: bytes) -> Stat:
    """Parse /proc/PID/stat.

    The name stands in parentheses and may itself hold any byte but NUL: spaces, parentheses and
    newlines are the process's choice, so the last parenthesis ends it.

    Raises:
        ValueError: it is not that.
    """
    text = without_cut(text)
    end = text.rindex(b")")
    fields = text[end + 2 :].split(None, 22)
    if len(fields) < 22:
        raise ValueError(f"/proc/PID/stat has too few fields: {text[:80]!r}")
    return Stat(
        comm=task_name(text[text.index(b"(") + 1 : end]),
        state=fields[0].decode("ascii", "backslashreplace"),
        ppid=number(fields[1]),
        is_kernel=bool(integer(fields[6]) & _PF_KTHREAD),
        minor_faults=number(fields[7]),
        children_faults=number(fields[8]),
        major_faults=number(fields[9]),
        utime=number(fields[11]),
        stime=number(fields[12]),
        nice=number(fields[16], signed=True),
        threads=integer(fields[17]),
        start=integer(fields[19]),
        vsize=number(fields[20]),
        rss_pages=integer(fields[21]),
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
    """Parse /proc/PID/status; what it does not say is None.

    A process that gave back its memory (a zombie) has 0 kB of it: then the lines of memory are missing
    between others that are there.

    Raises:
        ValueError: it says nothing of this.
    """
    text = b"\n" + without_cut(text)
    rss, anon, swap = _number(text, b"\nVmRSS:"), _number(text, b"\nRssAnon:"), _number(text, b"\nVmSwap:")
    switches = _number(text, b"\nvoluntary_ctxt_switches:"), _number(text, b"\nnonvoluntary_ctxt_switches:")
    if rss is None and switches[0] is not None and not any(label in text for label in _OF_MEMORY):
        rss = anon = swap = 0
    uids = _rest(text, b"\nUid:")
    uid = None if uids is None else number(next(iter(uids.split()[1:2]), b""))
    status = Status(uid, rss, anon, swap, *switches)
    if status == _NOTHING:
        raise ValueError("it has none of the lines of /proc/PID/status")
    return status


def _rest(text: bytes, label: bytes) -> bytes | None:
    """What stands behind a label at the beginning of a line; None where no line has it."""
    start = text.find(label)
    if start < 0:
        return None
    start += len(label)
    return text[start : text.find(b"\n", start)]


def _number(text: bytes, label: bytes) -> int | None:
    rest = _rest(text, label)
    return None if rest is None else number(rest.removesuffix(b" kB"))


def parse_io(text: bytes) -> Io:
    """Parse /proc/PID/io; what it does not say is None.

    Raises:
        ValueError: it is not that.
    """
    told = _WHOLE_IO.fullmatch(text)
    if told:
        return Io._make(map(int, told.groups()))
    values = pairs(lines(text), b":")
    if values.keys().isdisjoint(_IO):
        raise ValueError("it has none of the lines of /proc/PID/io")
    return Io._make([number(values.get(label)) for label in _IO])


def parse_run_delay(text: bytes) -> int | None:
    """Nanoseconds that one task waited for a CPU, from its schedstat (Documentation/scheduler/sched-stats.rst).

    Three zeros of a task that is alive are a kernel that does not count (no CONFIG_SCHED_INFO): None.

    Raises:
        ValueError: it is not that.
    """
    ran, waited, slices = (integer(word) for word in without_cut(text).split())
    return waited if ran or slices else None


def parse_fd_limit(text: bytes) -> int | None:
    """The soft limit of open files in /proc/PID/limits; None: unlimited, or not told."""
    rest = _rest(b"\n" + without_cut(text), b"\nMax open files")
    words = rest.split() if rest else []
    return number(words[0]) if len(words) > 1 and words[0] != b"unlimited" else None


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
    """Parse /proc/PID/cgroup; all are None where no line can be read.

    A path may hold blanks, so of a line without an end none is known to be whole.
    """
    v2_path = None
    v1: dict[bytes, str] = {}
    whole = text[: text.rfind(b"\n") + 1]
    damaged = whole != text.rstrip(b"\0") or bool(text) > bool(whole)
    if damaged:
        note("it ends without a newline: its last path may be cut", text[len(whole) :])
    for line in whole.splitlines():
        try:
            group = parse_membership(line)
        except ValueError as error:
            note(str(error), line)
            damaged = True
            continue
        here = name(group.path)
        if group.hierarchy == 0:
            v2_path = here
        else:
            v1 |= dict.fromkeys(group.controllers, here)
    if damaged:  # the lines that are left may name a group that does not count
        return Groups(None if v2_path in ("", "/") else v2_path, v2_path, v1.get(b"memory"), v1.get(b"blkio"))
    places = (v2_path, *(v1.get(controller) for controller in (b"cpu", b"memory", *v1)))
    path = next((place for place in places if place not in (None, "", "/")), "/")
    return Groups(path, v2_path, v1.get(b"memory", v2_path), v1.get(b"blkio", v2_path))
