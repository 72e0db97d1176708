"""Where control groups are mounted, and which group has which path and id."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from kernelsight.collectors.base import Host
from kernelsight.collectors.files import read_once
from kernelsight.events.unsigned import wrap_u64
from kernelsight.linux.mounts import parse_mounts

_VERSIONS = {"cgroup": 1, "cgroup2": 2}
_USUAL = "/sys/fs/cgroup"
_V1_CONTROLLERS = frozenset({"cpu", "cpuacct", "memory", "blkio", "pids"})


class CgroupMount(NamedTuple):
    """One mounted hierarchy."""

    point: Path
    root: str
    """The group that is mounted there: `/` but in a container without a namespace of its own."""
    version: int
    controllers: frozenset[str]
    """Of version 1; empty for version 2, whose groups each say what they have."""

    def folder(self, path: str) -> Path | None:
        """The directory of a group; None: it is outside of what is mounted."""
        if self.root != "/":
            if path != self.root and not path.startswith(f"{self.root}/"):
                return None
            path = path[len(self.root) :]
        return self.point / path.lstrip("/")


def cgroup_mounts(text: bytes) -> list[CgroupMount]:
    """The hierarchies in /proc/self/mountinfo, version 2 first (Documentation/filesystems/proc.rst, 3.5).

    Of several mounts of one hierarchy, the first counts.
    """
    hierarchies: dict[frozenset[str], CgroupMount] = {}
    for mount in parse_mounts(text.splitlines()):
        if mount.fs_type not in _VERSIONS:
            continue
        version = _VERSIONS[mount.fs_type]
        options = {option.decode("ascii", "replace") for option in mount.super_options or ()}
        controllers = frozenset(options) & _V1_CONTROLLERS if version == 1 else frozenset()
        if version != 1 or controllers:
            point, root = Path(os.fsdecode(mount.point)), os.fsdecode(mount.root)
            hierarchies.setdefault(controllers, CgroupMount(point, root, version, controllers))
    return sorted(hierarchies.values(), key=lambda mount: (-mount.version, sorted(mount.controllers)))


def find_mounts(host: Host) -> list[CgroupMount]:
    """The mounted hierarchies that can be read on this host, version 2 first."""
    mounts = []
    for mount in cgroup_mounts(read_once(host.proc / "self/mountinfo") or b""):
        point = mount.point
        if point.is_relative_to(_USUAL):
            point = host.cgroup / point.relative_to(_USUAL)
        if point.is_dir():
            mounts.append(mount._replace(point=point))
    return mounts


class CgroupIds:
    """The ids that cgroup v2 gives to groups, which are what tracers see: the inode numbers of their directories."""

    def __init__(self, host: Host) -> None:
        self._mount = next((mount for mount in find_mounts(host) if mount.version == 2), None)

    def find(self, path: str) -> int | None:
        """The id of the group that has this path now; None: version 2 has no such group.

        A group that is made again under the same path, as when a service is restarted, has another id.
        """
        folder = self._mount.folder(path) if self._mount else None
        try:
            return wrap_u64(folder.stat().st_ino) if folder else None
        except OSError:  # it is gone
            return None
