"""What collectors said during a run, kept for replay: nothing in it names other people's processes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from kernelsight.events.declare import Event
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import PageFault, PageFaultStats
from kernelsight.events.scheduler import BlockedTask, Sched, SchedProcess, Wait
from kernelsight.events.syscalls import Syscall
from kernelsight.events.wire import decoder, encode_lines, kinds

CASES = Path(__file__).with_name("cases")
"""Where recordings are kept: NAME.ndjson.zst is what the collectors said, NAME.json what is true of it."""
_LINES = ".ndjson.zst"
_NAMES = {
    "comm": "pid",
    "waker_comm": "waker_pid",
    "holder_comm": "holder_pid",
    "prev_comm": "prev_pid",
    "trigger_comm": "trigger_pid",
}
"""Columns that name a process, and the columns that say which."""
_TOLD = re.compile(r"(stress-ng|fio)[\w-]*")
"""The programs of the bench that are not started under a name of their own: their children have these."""
_KERNEL = re.compile(r"(kworker|ksoftirqd|migration|kswapd|rcu_|jbd2|kcompactd|khugepaged|cpuhp|watchdog|loop\d).*")


_COMMON_PROGRAMS = ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/bin/", "/sbin/", "/lib/")
"""Where executables are that every machine may have; the path of another one tells where somebody keeps his files."""

_SINGLE = (Syscall, Sched, PageFault)
"""Kinds with a row for every slow call, wait or fault: what others had of these is noise, and most of a recording."""


def scrubbed(events: Iterable[Event], ours: dict[int, str]) -> Iterator[Event]:
    """Events in which nothing names what is not ours.

    Processes of one name that are not ours are called by the pid of the first of them, so that they are still
    of one program; their groups and mounts by a number. What was slow for one of them a single time is left out.

    Args:
        events: what the collectors said.
        ours: pid to name of what the scenario started, and of ourselves.
    """
    groups: dict[str, str] = {}
    programs: dict[str, str] = {}
    names = {*ours.values()}
    for event in events:
        if isinstance(event, _SINGLE) and event.pid not in ours and event.comm not in names:
            continue
        changes: dict[str, Any] = {}
        for column in event.__struct_fields__:
            value = getattr(event, column)
            if not isinstance(value, str):
                continue
            if column == "exe":
                if getattr(event, "pid", None) not in ours or not value.startswith(_COMMON_PROGRAMS):
                    changes[column] = None
                continue
            if column in _NAMES:
                pid = getattr(event, _NAMES[column], None)
                if value not in names and pid not in ours and not (_KERNEL.fullmatch(value) or _TOLD.fullmatch(value)):
                    changes[column] = programs.setdefault(value, f"p{pid or 0}")
            elif (
                column in {"cgroup", "memory_cgroup", "io_cgroup", "scope"}
                and "faultbench" not in value
                and value not in {"/", "system"}
            ) or _names_a_place(event, column):
                changes[column] = groups.setdefault(value, f"/other-{len(groups)}")
        yield msgspec.structs.replace(event, **changes) if changes else event


def _names_a_place(event: Event, column: str) -> bool:
    """Whether a column names a mount that is not common, or what is mounted there."""
    if isinstance(event, Filesystem):
        return column in {"mount_point", "device"} and not _is_common(event)
    return isinstance(event, BlockedTask) and column == "mount_point" and not _is_common(event)


def _is_common(event: Filesystem | BlockedTask) -> bool:
    """Whether a file system is the scenario's own, or one that every machine has."""
    mount = event.mount_point or ""
    return "faultbench" in mount or mount in {"/", "/boot", "/dev/shm", "/home", "/run", "/tmp", "/var"}


_MOST_SHORT = 5
"""Processes a second that came and went within it, of which a recording keeps the rows: they are all alike."""
_OF_EVERY_PROCESS = (PageFaultStats, SchedProcess, Wait)
"""Kinds that have a row for each process that did anything within a second."""


def thinned(events: Iterable[Event], ours: dict[int, str]) -> list[Event]:
    """Events without those of most processes that lived within a second, where there are very many.

    Who had children stays, however short its life.
    """
    events = list(events)
    lived: dict[int, set[int]] = {}
    for event in events:
        if isinstance(event, _OF_EVERY_PROCESS):
            lived.setdefault(event.pid or 0, set()).add(event.timestamp)
    short: dict[int, list[int]] = {}
    for pid, seconds in lived.items():
        if len(seconds) == 1 and pid not in ours:
            short.setdefault(min(seconds), []).append(pid)
    left_out = {pid for pids in short.values() for pid in pids[_MOST_SHORT:]}
    return [event for event in events if not (isinstance(event, _OF_EVERY_PROCESS) and _is_of(event, left_out))]


def _is_of(event: Event, pids: set[int]) -> bool:
    if isinstance(event, SchedProcess) and event.forks:
        return False
    return getattr(event, "pid", None) in pids or getattr(event, "waker_pid", None) in pids


def cases(names: Collection[str] = ()) -> list[Path]:
    """The recordings of these names, or all of them."""
    return [path for path in sorted(CASES.glob(f"*{_LINES}")) if not names or name_of(path) in names]


def name_of(path: Path) -> str:
    """What a recording is called: the scenario's name."""
    return path.name.removesuffix(_LINES)


def about(path: Path) -> dict[str, Any]:
    """What is true of a recording: when the fault began and ended, which it was, and what was played."""
    told: dict[str, Any] = json.loads(path.with_name(f"{name_of(path)}.json").read_text())
    return told


def keep(folder: Path, truth_of: dict[str, Any], lines: bytes, ours: dict[int, str]) -> None:
    """Write a recording, and what is true of it."""
    folder.mkdir(exist_ok=True)
    name = truth_of["scenario"]
    events = thinned(decoder().decode_lines(lines), ours)
    packed = zstandard.ZstdCompressor(level=19).compress(encode_lines(scrubbed(events, ours)))
    (folder / f"{name}{_LINES}").write_bytes(packed)
    (folder / f"{name}.json").write_text(json.dumps(truth_of, indent=1) + "\n")


def read(path: Path, *, tracers: bool = True) -> bytes:
    """The lines of a recording; without those that only tracers can write, as an ordinary user would have them."""
    lines = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 30)
    if tracers:
        return lines
    traced = tuple(kind.struct for kind in kinds().values() if kind.source.startswith("eBPF"))
    return encode_lines(event for event in decoder().decode_lines(lines) if not isinstance(event, traced))
