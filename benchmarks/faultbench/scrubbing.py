"""What a recording may say of processes, files and hosts that are not the scenario's: nothing that names them.

Each text that a collector says is of a sort: the name of a process, a place, an address, or a word of the kernel, which
names nobody. A column that this module does not know is left out of recordings, and the recorder is told.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kernelsight.events.declare import Event, kind_of
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.kernel_setting import KernelSetting
from kernelsight.events.memory import PageFault
from kernelsight.events.mount import Mount
from kernelsight.events.network_setting import NetworkSetting
from kernelsight.events.package_change import PackageChange
from kernelsight.events.process_exit import ProcessExit
from kernelsight.events.scheduler import BlockedTask, Sched
from kernelsight.events.stack import Stack
from kernelsight.events.syscalls import Syscall
from kernelsight.linux import stacks

_TOLD = re.compile(r"(stress-ng|fio)[\w-]*")
"""The programs of the bench that are not started under a name of their own: their children have these."""
_KERNEL = re.compile(r"(kworker|ksoftirqd|migration|kswapd|rcu_|jbd2|kcompactd|khugepaged|cpuhp|watchdog|loop\d).*")

_COMMON_PROGRAMS = ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/bin/", "/sbin/", "/lib/")
"""Where executables are that every machine may have; another path tells where somebody keeps his files."""
_COMMON_MOUNTS = {"/", "/boot", "/dev/shm", "/home", "/run", "/tmp", "/var"}
_OUR_FILES = "faultbench"
"""It is in the name of every folder, group and mount that a scenario makes."""

_SINGLE = (Syscall, Sched, PageFault)
"""Kinds with a row for every slow call, wait or fault: what others had of these is noise, and most of a recording."""

_SETUPS = (KernelSetting, Mount, NetworkSetting)
"""Kinds that tell how a machine is set up at the first look, which is nobody's business, and what changes then."""

_GROUPS = {"cgroup", "memory_cgroup", "io_cgroup", "scope"}
_PLACES = {"mount_point", "device", "previous_device"}
_LEFT_OUT = {"text", "subject", "command_line"}
"""What the kernel's log and its command line say word for word. Of the log, kinds and devices stay, and subjects
that are no host and no path."""
_PLAIN = re.compile(r"[A-Za-z_ -]{1,40}")
_ADDRESSES = {"address", "client_address", "saddr", "daddr"}
_WORDS = {
    "array_state", "controller", "device_name", "device_number", "discipline", "error", "faulty", "fs_type", "governor",
    "holder_call", "interface_name", "kinds", "limit_name", "location", "message_kind", "module", "name", "object",
    "operstate", "parent", "peer_waits_in", "printed", "program", "raid_level", "reason", "source", "stack", "state",
    "sync_action", "syscall_name", "waits_in", "wchan",
}  # fmt: skip
"""Columns with words of the kernel or of ourselves, and names of devices and interfaces."""


@dataclass
class _Scrubber:
    """What is not ours keeps one stand-in over a whole recording, so that what belongs together still does."""

    ours: Mapping[int, str]
    """Pid to name of what the scenario started, and of ourselves."""
    left_out: Callable[[str], None]
    programs: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    """Names that the scenario gave to programs, and those of its processes."""

    def __post_init__(self) -> None:
        self.names |= frozenset(self.ours.values())

    def text(self, event: Event, column: str, value: str) -> str | None:
        """A text as a recording has it; None: it is left out."""
        if column == "comm" or column.endswith("_comm"):
            return self._name(getattr(event, f"{column.removesuffix('comm')}pid", None), value)
        if column in _WORDS or kind_of(type(event)).by_name[column].choices:
            return value
        if column in _GROUPS:
            return self._group(value)
        if column in _ADDRESSES:
            return self._address(value)
        if column in _PLACES:
            return self._place(event, column, value)
        return self._of_a_file(event, column, value)

    def _of_a_file(self, event: Event, column: str, value: str) -> str | None:
        if column == "exe":
            is_ours = getattr(event, "pid", None) in self.ours
            return value if is_ours and value.startswith(_COMMON_PROGRAMS) else None
        if column == "frames":
            return _frames(value)
        if column == "subject" and (_PLAIN.fullmatch(value) or _OUR_FILES in value):
            return value
        if column not in _LEFT_OUT:
            self.left_out(f"{kind_of(type(event)).name}.{column}")
        return None

    def _name(self, pid: int | None, value: str) -> str:
        if value in self.names or pid in self.ours or _KERNEL.fullmatch(value) or _TOLD.fullmatch(value):
            return value
        return self.programs.setdefault(value, f"p{pid or 0}")

    def _group(self, value: str) -> str:
        if _OUR_FILES in value or value in {"/", "system"}:
            return value
        return self.places.setdefault(value, f"/other-{len(self.places)}")

    def _place(self, event: Event, column: str, value: str) -> str:
        """A mount that is not common, and what is mounted there; devices are called alike everywhere."""
        if isinstance(event, Filesystem | BlockedTask | Mount):
            mount = event.mount_point or ""
            is_common = _OUR_FILES in mount or mount in _COMMON_MOUNTS
            if not is_common and (column == "mount_point" or isinstance(event, Filesystem | Mount)):
                return self.places.setdefault(value, f"/other-{len(self.places)}")
        return value

    def _address(self, value: str) -> str:
        """An address of a host on the Internet becomes one that is kept for documentation (RFC 5737, RFC 3849)."""
        try:
            host = ipaddress.ip_address(value)
        except ValueError:  # the path of a Unix socket
            return value if _OUR_FILES in value else self.places.setdefault(value, f"/other-{len(self.places)}")
        if not host.is_global or host.is_multicast:
            return value
        number = len(self.hosts) + 1
        return self.hosts.setdefault(value, f"192.0.2.{number % 255}" if host.version == 4 else f"2001:db8::{number:x}")


def with_children(events: Iterable[Event], ours: Mapping[int, str]) -> dict[int, str]:
    """Pid to name of what the scenario started, with the children that ended before anybody looked for them.

    Args:
        events: what the collectors said; each names the parent of a process that ended.
        ours: those that are known.
    """
    found = dict(ours)
    for event in events:
        if isinstance(event, ProcessExit) and event.parent_pid in found and event.pid and event.comm:
            found.setdefault(event.pid, event.comm)
    return found


def scrubbed(events: Iterable[Event], ours: Mapping[int, str], names: frozenset[str] = frozenset()) -> Iterator[Event]:
    """Events in which nothing names what is not ours.

    Processes of one name that are not ours are called by the pid of the first of them, so that they are still
    of one program; their groups and mounts by a number. What was slow for one of them a single time is left out, and
    so is what the kernel said before the recording began.

    Args:
        events: what the collectors said.
        ours: pid to name of what the scenario started, and of ourselves.
        names: that the scenario gave to programs.
    """
    unknown: set[str] = set()
    scrubber = _Scrubber(ours, unknown.add, names=names)
    for event in events:
        if _is_of_others(event, ours, scrubber.names):
            continue
        changes: dict[str, Any] = {}
        for column in event.__struct_fields__:
            value = getattr(event, column)
            if isinstance(value, str):
                text = scrubber.text(event, column, value)
                if text != value:
                    changes[column] = text
        yield msgspec.structs.replace(event, **changes) if changes else event
    for name in sorted(unknown):
        print(
            f"{name} is left out of the recording: scrubbing.py does not know whether it names anybody", file=sys.stderr
        )


def _is_of_others(event: Event, ours: Mapping[int, str], names: frozenset[str]) -> bool:
    """Whether a row tells of somebody else alone, or of what was before."""
    if isinstance(event, _SINGLE):
        return event.pid not in ours and event.comm not in names
    if isinstance(event, Stack):
        return event.space == "user" and event.pid not in ours
    if isinstance(event, PackageChange):
        return _OUR_FILES not in (event.package or "")
    return (isinstance(event, KernelMessage) and bool(event.earlier)) or (
        isinstance(event, _SETUPS) and event.unchanged_ns is None
    )


def _frames(value: str) -> str | None:
    """The frames of a stack; of a file that is neither ours nor of every machine only its last name is kept."""
    frames = stacks.decoded(value)
    if frames is None:
        return None
    files = tuple(msgspec.structs.replace(file, path=_path(file.path)) for file in frames.files)
    return stacks.encoded(msgspec.structs.replace(frames, files=files))


def _path(path: str) -> str:
    return path if path.startswith(_COMMON_PROGRAMS) or _OUR_FILES in path else path.rpartition("/")[2]
