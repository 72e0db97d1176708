"""The groups there are, and the open files of one of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kernelsight.collectors.files import read_whole
from kernelsight.collectors.procfs.cgroup_paths import CgroupMount
from kernelsight.collectors.procfs.process_files import DescriptorBudget

_READ_SIZE = 16_384
_ABSENT = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL)


def find_groups(mounts: Sequence[CgroupMount], *, most: int, depth: int) -> dict[str, list[CgroupMount]]:
    """Paths of all groups, each with the hierarchies that have it; those near the root first, up to a number."""
    groups: dict[str, list[CgroupMount]] = {}
    for mount in mounts:
        for path in _walk(mount, most=most, depth=depth):
            groups.setdefault(path, []).append(mount)
    nearest = sorted(groups, key=lambda path: (path.count("/") if path != "/" else 0, path))[:most]
    return {path: groups[path] for path in nearest}


def _walk(mount: CgroupMount, *, most: int, depth: int) -> Iterator[str]:
    level = [(mount.root, mount.point)]
    for _ in range(depth + 1):
        below: list[tuple[str, Path]] = []
        for path, folder in level:
            if most <= 0:
                return
            most -= 1
            yield path
            below.extend((f"{path.rstrip('/')}/{name}", folder / name) for name in _subgroups(folder))
        level = below


def _subgroups(folder: Path) -> list[str]:
    try:
        # A directory has two links, and one more for each below it: most groups are leaves, and need no listing.
        if folder.stat().st_nlink == 2:
            return []
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, PermissionError):
        return []


class GroupGoneError(Exception):
    """The group was removed."""


class GroupFolder:
    """Reads the files of one group in one hierarchy."""

    __slots__ = ("_absent", "_budget", "_folder", "_open")

    def __init__(self, folder: Path, budget: DescriptorBudget) -> None:
        self._folder = folder
        self._budget = budget
        self._open: dict[str, int] = {}
        self._absent: set[str] = set()

    def read(self, files: Iterable[str], *, keep: bool) -> dict[str, bytes]:
        """What the files say, by name; those that the group does not have are left out.

        Args:
            files: their names.
            keep: leave them open for the next time.

        Raises:
            GroupGoneError: the group was removed.
        """
        said: dict[str, bytes] = {}
        for file in files:
            fd = self._open.get(file)
            try:
                if fd is not None:
                    said[file] = read_whole(fd, _READ_SIZE)
                elif file not in self._absent:
                    said[file] = self._read_new(file, keep=keep)
            except OSError as error:
                self._note(file, error)
        return said

    def _note(self, file: str, error: OSError) -> None:
        # An open file goes with its group, or with a controller that is switched off; a new group may
        # have the same path by now.
        if error.errno == errno.ENODEV or (error.errno == errno.ENOENT and not self._folder.is_dir()):
            raise GroupGoneError from error
        if error.errno not in _ABSENT:
            raise error
        self._absent.add(file)

    def _read_new(self, file: str, *, keep: bool) -> bytes:
        fd = os.open(self._folder / file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = read_whole(fd, _READ_SIZE)
        except OSError:
            os.close(fd)
            raise
        if keep and self._budget.left > 0:
            self._budget.left -= 1
            self._open[file] = fd
        else:
            os.close(fd)
        return text

    def look_again(self) -> None:
        """Try the files that were absent once more: a controller may have been switched on."""
        self._absent.clear()

    def close(self) -> None:
        """Close all files; calling it again does nothing."""
        for fd in self._open.values():
            os.close(fd)
        self._budget.left += len(self._open)
        self._open.clear()
