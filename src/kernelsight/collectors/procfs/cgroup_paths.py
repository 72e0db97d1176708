"""Where control groups are mounted, and which group has which path and id."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from kernelsight.collectors.base import Host
from kernelsight.collectors.files import read_once

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


def parse_mounts(text: bytes) -> list[CgroupMount]:
    """The hierarchies in /proc/self/mountinfo, version 2 first (Documentation/filesystems/proc.rst, 3.5).

    Of several mounts of one hierarchy, the first counts.
    """
    mounts: dict[frozenset[str], CgroupMount] = {}
    for line in text.splitlines():
        head, separator, tail = line.partition(b" - ")
        fields, source = head.split(b" "), tail.split(b" ")
        if not separator or len(fields) < 5 or source[0] not in (b"cgroup", b"cgroup2"):
            continue
        options = source[2].decode("ascii", "replace").split(",") if len(source) > 2 else []
        version = 2 if source[0] == b"cgroup2" else 1
        controllers = frozenset(options) & _V1_CONTROLLERS if version == 1 else frozenset()
        if version == 2 or controllers:
            mounts.setdefault(controllers, CgroupMount(Path(_path(fields[4])), _path(fields[3]), version, controllers))
    return sorted(mounts.values(), key=lambda mount: (-mount.version, sorted(mount.controllers)))


def _path(field: bytes) -> str:
    """Undo the octal escapes of blanks and backslashes."""
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escaped, plain)
    return os.fsdecode(field)


def find_mounts(host: Host) -> list[CgroupMount]:
    """The mounted hierarchies that can be read on this host, version 2 first."""
    found = []
    for mount in parse_mounts(read_once(host.proc / "self/mountinfo") or b""):
        point = mount.point
        if point.is_relative_to(_USUAL):
            point = host.cgroup / point.relative_to(_USUAL)
        if point.is_dir():
            found.append(mount._replace(point=point))
    return found


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
            return _signed(folder.stat().st_ino) if folder else None
        except OSError:  # it is gone
            return None


def _signed(number: int) -> int:
    """As stores hold 64 unsigned bits."""
    return number - (1 << 64) if number >= 1 << 63 else number
