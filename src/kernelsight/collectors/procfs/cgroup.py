"""Control groups, version 2 and 1, merged by path (Documentation/admin-guide/cgroup-v2.rst).

In a hybrid set-up version 2 has the processes and version 1 the controllers; one row has all that
any hierarchy says of the group with this path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.procfs import cgroup_text
from kernelsight.collectors.procfs.cgroup_files import GroupFolder, GroupGoneError, find_groups
from kernelsight.collectors.procfs.cgroup_paths import CgroupIds, CgroupMount, find_mounts
from kernelsight.collectors.procfs.process_files import DescriptorBudget
from kernelsight.collectors.selection import Selection
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.cgroup import Cgroup

_MOST_GROUPS = 500
"""Groups that are watched, those near the root first."""

_DEPTH = 8
_MOST_ROWS = 50
"""Rows of a run besides those of groups seen for the first time; those that used most CPU time come first."""

_SEARCH_EVERY_NS = 5 * NS_PER_S
"""How often new groups are looked for."""

_LIMITS_EVERY_NS = 10 * NS_PER_S


@dataclass(slots=True)
class _Hierarchy:
    """One group in one hierarchy: its files, and which of them tell what."""

    version: int
    folder: GroupFolder
    activity: tuple[str, ...]
    use: tuple[str, ...]
    limits: tuple[str, ...]
    active: dict[str, bytes] = field(default_factory=dict)
    limited: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    """One group that is known."""

    key: tuple[int, str]
    """How many were known before it, and its path: nothing else ever has this key."""
    path: str
    hierarchies: list[_Hierarchy]
    v2_id: int | None
    cpu: int = -1
    """CPU time at the last look; -1: not looked at yet."""
    used: int = 0
    """CPU time between the last two looks."""
    memory: int = 0
    limits_due: int = 0


@collector(source="cgroupfs", emits=(Cgroup,))
class CgroupCollector:
    """Control groups that were active, the largest ones, and each one at least once a minute."""

    def __init__(self, host: Host) -> None:
        self._mounts = find_mounts(host)
        if not self._mounts:
            raise SourceUnavailableError(f"no control groups are mounted below {host.cgroup}")
        self._monotonic_ns = host.monotonic_ns
        self._ids = CgroupIds(host)
        self._budget = DescriptorBudget(share=0.25)
        self._groups: dict[str, _Group] = {}
        self._selection: Selection[tuple[int, str]] = Selection()
        self._seen = 0
        self._search_due = 0

    @property
    def limitations(self) -> list[str]:
        """That there are more groups than are watched."""
        if len(self._groups) < _MOST_GROUPS:
            return []
        return [f"groups beyond {_MOST_GROUPS}, those farther from the root: not watched, as there are too many"]

    def collect(self, now: int) -> Iterator[Cgroup]:
        """Find out which groups were active, and read those."""
        moment = self._monotonic_ns()
        if moment >= self._search_due:
            self._search_due = moment + _SEARCH_EVERY_NS
            self._search()
        fresh = {group.key for group in self._groups.values() if group.cpu < 0}
        looked_at = {}
        for group in list(self._groups.values()):
            try:
                with bounded("control groups", group.path.encode("utf-8", "backslashreplace")):
                    looked_at[group.key] = (self._look(group), group.memory)
            except GroupGoneError:
                self._search_due = 0  # it may be made again, as when a service is restarted
                self._forget(group)
        chosen = [self._groups[path] for _, path in self._selection.choose(moment, looked_at)]
        known = sorted((group for group in chosen if group.key not in fresh), key=lambda group: -group.used)
        for group in [group for group in chosen if group.key in fresh] + known[:_MOST_ROWS]:
            try:
                with bounded("control groups", group.path.encode("utf-8", "backslashreplace")):
                    yield self._read(group, now, moment)
            except GroupGoneError:
                self._forget(group)

    def close(self) -> None:
        """Close all files."""
        for group in list(self._groups.values()):
            self._forget(group)

    def _search(self) -> None:
        groups = find_groups(self._mounts, most=_MOST_GROUPS, depth=_DEPTH)
        for path in self._groups.keys() - groups.keys():
            self._forget(self._groups[path])
        for path, mounts in groups.items():
            known = self._groups.get(path)
            if known is not None and len(known.hierarchies) == len(mounts):
                continue
            if known is not None:
                self._forget(known)
            self._seen += 1
            hierarchies = [self._open(mount, path) for mount in mounts]
            v2_id = self._ids.find(path) if mounts[0].version == 2 else None
            self._groups[path] = _Group((self._seen, path), path, hierarchies, v2_id)

    def _open(self, mount: CgroupMount, path: str) -> _Hierarchy:
        folder = GroupFolder(mount.folder(path) or mount.point, self._budget)
        text = cgroup_text
        if mount.version == 2:
            return _Hierarchy(2, folder, text.V2_ACTIVITY, text.V2_USE, text.V2_LIMITS)
        return _Hierarchy(1, folder, _of(mount, text.V1_ACTIVITY), _of(mount, text.V1_USE), _of(mount, text.V1_LIMITS))

    def _forget(self, group: _Group) -> None:
        for hierarchy in group.hierarchies:
            hierarchy.folder.close()
        del self._groups[group.path]

    def _look(self, group: _Group) -> tuple[bytes, ...]:
        """Read what changes whenever a group is active."""
        for hierarchy in group.hierarchies:
            hierarchy.active = hierarchy.folder.read(hierarchy.activity, keep=True)
        files = {name: text for hierarchy in group.hierarchies for name, text in hierarchy.active.items()}
        cpu = cgroup_text.cpu_time(files)
        group.used = cpu - max(group.cpu, 0)
        group.cpu = cpu
        group.memory = cgroup_text.memory_use(files)
        return tuple(files.values())

    def _read(self, group: _Group, now: int, moment: int) -> Cgroup:
        event = Cgroup(now, cgroup=group.path, cgroup_id=group.v2_id)
        limits_due = moment >= group.limits_due
        if limits_due:
            group.limits_due = moment + _LIMITS_EVERY_NS
        for hierarchy in group.hierarchies:
            if limits_due:
                hierarchy.folder.look_again()
                hierarchy.limited = hierarchy.folder.read(hierarchy.limits, keep=False)
            texts = hierarchy.active | hierarchy.limited | hierarchy.folder.read(hierarchy.use, keep=True)
            fill = cgroup_text.fill_v2 if hierarchy.version == 2 else cgroup_text.fill_v1
            fill(event, texts)
        return event


def _of(mount: CgroupMount, files: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The files of the controllers that a hierarchy of version 1 has."""
    return tuple(name for controller in sorted(mount.controllers) for name in files.get(controller, ()))
