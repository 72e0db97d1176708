"""Packages that were installed, upgraded or removed, from the logs of package managers."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.privileges import Capability
from kernelsight.collectors.text import name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.package_change import PackageChange
from kernelsight.linux.packages import DATABASES, LOGS, Log, Work, parse_work, programs_in, units_in

_EVERY_NS = 10 * NS_PER_S
_DAY_NS = 86_400 * NS_PER_S
_MOST_BYTES = 256 * 1024
"""Of a log that are read at once: a whole upgrade of a distribution writes about 1 MB."""
_MOST_ROWS = 500
_LARGEST_LIST = 1024 * 1024
_TOLD_BEFORE_NS = 300 * NS_PER_S
"""A database is written at the end of work that a log told of within so long before."""
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*")


@dataclass
class _Read:
    """How far a log was read."""

    log: Log
    inode: int = -1
    offset: int = 0


@collector(source="logs", emits=(PackageChange,), needs=(Capability.CAP_DAC_READ_SEARCH,))
class PackageChangeCollector:
    """Packages that were installed, upgraded or removed, from the logs of dpkg, pacman and dnf, every 10 s."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"the logs of package managers are of this machine, not of {host.proc}")
        self._begin(host, Path("/"))

    def _begin(self, host: Host, root: Path) -> None:
        self._monotonic_ns = host.monotonic_ns
        self._root = root
        self._due = 0
        self._logs = [_Read(log) for log in LOGS]
        self._written: dict[str, int] = {}
        self._told_ns = 0
        """When the newest work happened that a log tells of."""
        there = [log.path for log in LOGS if (root / log.path[1:]).exists()]
        if not there and not self._databases():
            raise SourceUnavailableError("no log of dpkg, pacman or dnf, and no database of rpm or apk, is here")

    @classmethod
    def below(cls, root: Path, host: Host) -> PackageChangeCollector:
        """One for the machine whose file systems are below a directory.

        Raises:
            SourceUnavailableError: it has no package manager that is known.
        """
        made = cls.__new__(cls)
        made._begin(host, root)  # noqa: SLF001 - of the same class
        return made

    def collect(self, now: int) -> Iterator[PackageChange]:
        """Read what was written since the last look, if it is time to; at first that of the last day."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        self._due = moment + _EVERY_NS
        for read in self._logs:
            work = [each for line in self._new_lines(read) if (each := parse_work(read.log, line)) is not None]
            self._told_ns = max([self._told_ns, *(each.happened_ns for each in work)])
            for each in [each for each in work if now - _DAY_NS <= each.happened_ns <= now][-_MOST_ROWS:]:
                yield self._event(read.log, each, now)
        yield from self._databases_written(now)

    def close(self) -> None:
        """Nothing is kept open: logs are rotated."""

    def _new_lines(self, read: _Read) -> list[str]:
        try:
            fd = os.open(self._root / read.log.path[1:], os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return []
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return []
            if status.st_ino != read.inode or status.st_size < read.offset:
                read.inode, read.offset = status.st_ino, 0
            if status.st_size == read.offset:
                return []
            start = max(read.offset, status.st_size - _MOST_BYTES)
            data = os.pread(fd, status.st_size - start, start)
        except OSError:
            return []
        finally:
            os.close(fd)
        if start > read.offset:  # within a line
            data = data.partition(b"\n")[2]
            start = status.st_size - len(data)
        whole = data[: data.rfind(b"\n") + 1]
        read.offset = start + len(whole)
        return [name(line) for line in whole.splitlines()]

    def _event(self, log: Log, work: Work, now: int) -> PackageChange:
        files = self._files(work.package) if log.manager == "dpkg" else []
        return PackageChange(
            now,
            log.manager,
            work.package,
            work.action,
            work.version,
            work.previous,
            work.happened_ns,
            " ".join(programs_in(files)) or None,
            " ".join(units_in(files)) or None,
        )

    def _files(self, package: str) -> list[str]:
        """The files of a package, by dpkg's list; none where it is removed."""
        if not _PACKAGE.fullmatch(package):
            return []
        folder = self._root / "var/lib/dpkg/info"
        for stem in (package, package.partition(":")[0]):
            try:
                with (folder / f"{stem}.list").open("rb") as file:
                    return [name(line) for line in file.read(_LARGEST_LIST).splitlines()]
            except OSError:
                continue
        return []

    def _databases(self) -> dict[str, int]:
        """When each database was written last (ns since the epoch), by its manager."""
        written: dict[str, int] = {}
        for manager, paths in DATABASES.items():
            for path in paths:
                try:
                    written.setdefault(manager, (self._root / path[1:]).stat().st_mtime_ns)
                except OSError:
                    continue
        return written

    def _databases_written(self, now: int) -> Iterator[PackageChange]:
        for manager, written_ns in self._databases().items():
            is_new = self._written.get(manager) != written_ns and now - _DAY_NS <= written_ns <= now
            if is_new and written_ns > self._told_ns + _TOLD_BEFORE_NS:  # no log tells what it was
                yield PackageChange(now, manager, None, "changed", happened_ns=written_ns)
            self._written[manager] = written_ns
