"""Limits of control groups, in version 1 and 2, and groups of our own for single processes.

In version 1 a process is limited in a group of our own below the one that it is in, so that every limit that it
was under still holds. Version 2 does not let a group hold both processes and limited groups
(Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint"): there the group of our own stands beside
the one that it is in, and only where that one has no limit that the process would escape; a group that holds nothing
but the process and its children is limited itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernelsight.agent.acting.changes import Change, MakeGroup, MoveProcess, SetFile, read_value
from kernelsight.agent.acting.subject import (
    GroupSubject,
    ProcessSubject,
    RefusedError,
    StaleError,
    controller_mount,
    group_folder,
    look,
    members,
)
from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.cgroup_paths import CgroupMount

OWN_PREFIX = "kernelsight-"
"""Of the names of groups that are made here."""
_NO_LIMIT_V1 = 1 << 62
"""What version 1 says for no limit of memory is a page below 2**63."""
_V2_LIMITS = ("cpu.max", "memory.high", "memory.max", "pids.max")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the limit of a controller is set."""

    folder: Path
    version: int
    steps: tuple[Change, ...] = ()
    """What has to be done before (the group made) ..."""
    then: tuple[Change, ...] = ()
    """... and after (the process moved into it)."""


def of_group(host: Host, subject: GroupSubject, controller: str) -> Place:
    """Where the limit of a group is set.

    Raises:
        RefusedError: there is no such group, or it is the root, which has no limits.
    """
    mount = _mount(host, controller)
    folder = group_folder(mount, subject.path)
    if folder == mount.point:
        raise RefusedError("the root of a hierarchy has no limits")
    return Place(folder, mount.version)


def for_process(host: Host, subject: ProcessSubject, controller: str) -> Place:
    """Where the limit of one process is set.

    Raises:
        RefusedError: it cannot be limited alone.
    """
    mount = _mount(host, controller)
    path = subject.group(controller if mount.version == 1 else "")
    if path is None:
        raise RefusedError(f"{subject.name} is in no group of {controller}")
    folder = group_folder(mount, path)
    if Path(path).name.startswith(OWN_PREFIX):
        raise RefusedError(f"{subject.name} is in a group of ours already: {path}")
    if mount.version == 1:
        return _moved(subject, folder, folder, 1)
    if folder != mount.point and _alone(host, subject, folder):
        return Place(folder, 2)
    parent = folder if folder == mount.point else folder.parent
    if controller not in read_value(parent / "cgroup.subtree_control").split():
        raise RefusedError(f"{parent} does not hand {controller} on to its groups")
    if folder != mount.point:
        for name in _V2_LIMITS:
            if (folder / name).exists() and read_value(folder / name).split()[0] != "max":
                raise RefusedError(f"{subject.name} shares {path} with others, and would escape its {name}")
    return _moved(subject, folder, parent, 2)


def _moved(subject: ProcessSubject, folder: Path, parent: Path, version: int) -> Place:
    own = parent / f"{OWN_PREFIX}{subject.pid}"
    move = MoveProcess(pid=subject.pid, start_ticks=subject.start_ticks, former=str(folder), path=str(own))
    return Place(own, version, (MakeGroup(path=str(own)),), (move,))


def _alone(host: Host, subject: ProcessSubject, folder: Path) -> bool:
    """Whether a group holds a process and what it started, and nobody else."""
    for pid in members(folder):
        ancestor = pid
        while ancestor not in {subject.pid, 0, 1}:
            try:
                ancestor = look(host, ancestor).ppid
            except StaleError:  # it ended meanwhile, and is nobody any more
                break
        if ancestor in {0, 1}:
            return False
    return True


def _mount(host: Host, controller: str) -> CgroupMount:
    mount = controller_mount(host, controller)
    if mount is None:
        raise RefusedError(f"no hierarchy of control groups has the controller {controller} here")
    return mount


# --- CPU -------------------------------------------------------------------------------------------

PERIOD_US = 100_000
"""The kernel's default (Documentation/scheduler/sched-bwc.rst)."""


def cpu_quota(place: Place) -> tuple[int | None, int]:
    """Microseconds that a group may use (None: all) in each period of so many."""
    if place.version == 1:
        quota = int(read_value(place.folder / "cpu.cfs_quota_us"))
        return None if quota < 0 else quota, int(read_value(place.folder / "cpu.cfs_period_us"))
    quota_text, period = read_value(place.folder / "cpu.max").split()
    return None if quota_text == "max" else int(quota_text), int(period)


def set_cpu_quota(place: Place, quota_us: int) -> Iterator[Change]:
    """The writes that give a group a quota in its period; one that is yet to be made has none, and the usual period."""
    is_new = bool(place.steps)
    quota, period = (None, PERIOD_US) if is_new else cpu_quota(place)
    yield from place.steps
    if place.version == 1:
        path, former, value = "cpu.cfs_quota_us", str(-1 if quota is None else quota), str(quota_us)
    else:
        path, value = "cpu.max", f"{quota_us} {period}"
        former = f"{'max' if quota is None else quota} {period}"
    yield SetFile(path=str(place.folder / path), former=former, value=value)
    yield from place.then


# --- memory ----------------------------------------------------------------------------------------


def memory_use(place: Place) -> int:
    """Bytes that are charged to a group."""
    return int(read_value(memory_use_file(place)))


def memory_use_file(place: Place) -> Path:
    """The file that says so."""
    return place.folder / ("memory.usage_in_bytes" if place.version == 1 else "memory.current")


def memory_limit(place: Place) -> tuple[Path, int | None]:
    """The file of the hard limit of a group, and its bytes; None: no limit."""
    path = place.folder / ("memory.limit_in_bytes" if place.version == 1 else "memory.max")
    text = read_value(path)
    return path, None if text == "max" or int(text) > _NO_LIMIT_V1 else int(text)


def set_memory_high(place: Place, most: int) -> Iterator[Change]:
    """The writes beyond which a group is slowed: memory.high, or in version 1 the limit itself."""
    path = place.folder / ("memory.limit_in_bytes" if place.version == 1 else "memory.high")
    former = "max" if place.steps else read_value(path)
    yield from place.steps
    yield SetFile(path=str(path), former=former, value=str(most))
    yield from place.then


# --- tasks -----------------------------------------------------------------------------------------


def set_task_limit(place: Place, most: int) -> Iterator[Change]:
    """The writes that limit how many tasks a group may have."""
    path = place.folder / "pids.max"
    former = "max" if place.steps else read_value(path)
    yield from place.steps
    yield SetFile(path=str(path), former=former, value=str(most))
    yield from place.then


PAGES = 65_536
"""Bytes of the largest page there is (arm64); limits of whole pages read back as they were written."""


def page_aligned(number: float) -> int:
    """Bytes as the kernel keeps limits: whole pages."""
    return int(number) // PAGES * PAGES
