"""What an action is about, looked up at the moment of asking: a process, a control group, the machine.

A process is its pid together with the time at which it started (`start_ticks`), so that a pid that was given to
another process since is noticed. Whatever is done to one is done while a pidfd of it is held, and only if it
is the same one (pidfd_open(2)).
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.cgroup_paths import CgroupMount, find_mounts
from kernelsight.collectors.procfs.process_text import parse_stat, parse_status
from kernelsight.errors import KernelSightError
from kernelsight.linux.cgroups import Membership, parse_membership

ZOMBIE = frozenset("ZX")


class RefusedError(KernelSightError):
    """An action is not taken: the policy forbids it, it would not work, or its target is not what it was."""


class StaleError(RefusedError):
    """The process that was meant is gone; its pid may be another's by now."""


@dataclass(frozen=True, slots=True)
class ProcessSubject:
    """A process as it is now."""

    pid: int
    start_ticks: int
    comm: str
    program: str
    """Name of the file that it runs; empty where that cannot be read."""
    uid: int
    ppid: int
    nice: int
    state: str
    is_kernel: bool
    groups: tuple[Membership, ...]
    """Its group in each hierarchy."""

    @property
    def name(self) -> str:
        """As a person reads it."""
        return f"{self.comm} ({self.pid})"

    def group(self, controller: str) -> str | None:
        """Path of its group in the hierarchy of version 1 that has a controller, or ('') in version 2."""
        wanted = controller.encode()
        memberships = (
            membership
            for membership in self.groups
            if (wanted in membership.controllers if wanted else membership.hierarchy == 0)
        )
        return next((os.fsdecode(membership.path) for membership in memberships), None)


@dataclass(frozen=True, slots=True)
class GroupSubject:
    """A control group, by its path below the mount of a hierarchy."""

    path: str

    @property
    def name(self) -> str:
        """As a person reads it."""
        return self.path


@dataclass(frozen=True, slots=True)
class MachineSubject:
    """The machine as a whole."""

    name: str = "the machine"


Subject = ProcessSubject | GroupSubject | MachineSubject


def look(host: Host, pid: int) -> ProcessSubject:
    """A process as it is now.

    Raises:
        StaleError: there is no such process, or it has ended.
    """
    folder = host.proc / str(pid)
    try:
        stat = parse_stat((folder / "stat").read_bytes())
        status = parse_status((folder / "status").read_bytes())
        groups = [parse_membership(line) for line in (folder / "cgroup").read_bytes().splitlines()]
    except (OSError, ValueError) as error:
        raise StaleError(f"process {pid} is gone") from error
    if status.uid is None or stat.ppid is None or stat.nice is None:
        raise StaleError(f"process {pid}: its user, parent and priority cannot be read from {folder}")
    if stat.state in ZOMBIE:
        raise StaleError(f"process {pid} has ended")
    return ProcessSubject(
        pid=pid,
        start_ticks=stat.start,
        comm=stat.comm,
        program=_program(folder),
        uid=status.uid,
        ppid=stat.ppid,
        nice=stat.nice,
        state=stat.state,
        is_kernel=stat.is_kernel,
        groups=tuple(groups),
    )


def _program(folder: Path) -> str:
    try:
        return Path((folder / "exe").readlink()).name.removesuffix(" (deleted)")
    except OSError:  # a kernel thread has none; another's may not be for us to read
        return ""


@contextmanager
def held(host: Host, pid: int, start_ticks: int) -> Iterator[int]:
    """Hold a process by a pidfd while something is done to it; it is the one that was meant, before and after.

    Raises:
        StaleError: it is not there any more, or the pid is another's.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError as error:
        raise StaleError(f"process {pid} is gone") from error
    try:
        if look(host, pid).start_ticks != start_ticks:
            raise StaleError(f"pid {pid} belongs to another process than the one that was meant")
        yield fd
    finally:
        os.close(fd)


def has_ended(pidfd: int) -> bool:
    """Whether the process of a pidfd has ended: until then nobody else can have its pid."""
    return bool(select.select([pidfd], [], [], 0)[0])


def send(pidfd: int, number: int) -> None:
    """Send a signal to the process of a pidfd, and to no other.

    Raises:
        StaleError: it has ended.
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError as error:
        raise StaleError("the process has ended") from error


def threads(host: Host, pid: int) -> list[int]:
    """The threads of a process."""
    try:
        return sorted(int(entry.name) for entry in (host.proc / str(pid) / "task").iterdir())
    except OSError as error:
        raise StaleError(f"process {pid} is gone") from error


def controller_mount(host: Host, controller: str) -> CgroupMount | None:
    """Where a controller's groups are: its hierarchy of version 1, or version 2 where that has it; None: nowhere."""
    mounts = find_mounts(host)
    for mount in mounts:
        if controller in mount.controllers:
            return mount
    unified = next((mount for mount in mounts if mount.version == 2), None)
    if unified is None:
        return None
    try:
        has = controller in (unified.point / "cgroup.controllers").read_text("ascii").split()
    except OSError:
        return None
    return unified if has else None


def group_folder(mount: CgroupMount, path: str) -> Path:
    """The folder of a group.

    Raises:
        RefusedError: there is none, or the path leads out of the hierarchy.
    """
    folder = mount.folder(path)
    if folder is None or ".." in Path(path).parts or not path.startswith("/") or not folder.is_dir():
        raise RefusedError(f"there is no control group {path!r} in {mount.point}")
    return folder


def members(folder: Path) -> set[int]:
    """The processes of a group and of all groups below it."""
    pids: set[int] = set()
    for file in (folder / "cgroup.procs", *folder.glob("**/cgroup.procs")):
        try:
            pids.update(int(word) for word in file.read_text("ascii").split())
        except OSError:  # that group is gone, or (version 2) is of threads
            continue
    return pids
