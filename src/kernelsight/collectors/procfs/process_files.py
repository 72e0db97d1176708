"""The open files of one process under /proc/PID.

A file that stays open is bound to its process for good: once the process has ended, reading says so
(ESRCH), also when its pid is in use again. So pids that are re-used cannot be mixed up.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

from kernelsight.collectors.files import read_once, read_whole

_RESERVED = 512
"""Descriptors left to the rest of this program."""

_READ_SIZE = 4096  # what is longer, as the status of a user in hundreds of groups, is read again with more room
_NEEDED = ("stat", "schedstat")


class ProcessGoneError(Exception):
    """The process has ended."""


class DescriptorBudget:
    """How many files may be kept open; beyond it, files are opened for one read.

    First come, first kept: the files are read one after the other in the same order each time, and
    throwing out the one that was used longest ago would then throw out each just before its turn.
    """

    def __init__(self, *, share: float) -> None:
        """Raise the soft limit of open files to the hard one, and take a share of it (0 to 1)."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.left = int(share * ((1 << 20 if hard == resource.RLIM_INFINITY else hard) - _RESERVED))


class ProcessFiles:
    """Reads the files of one process."""

    __slots__ = ("_barred", "_budget", "_folder", "_open")

    def __init__(self, proc: Path, name: str, budget: DescriptorBudget) -> None:
        self._folder = f"{proc}/{name}"
        self._budget = budget
        self._open: dict[str, int] = {}
        self._barred: frozenset[str] = frozenset()

    def read(self, file: str, *, keep: bool) -> bytes | None:
        """A file to its end; None: this user may not read it, or the kernel does not have it.

        Args:
            file: its name in the directory of the process.
            keep: leave it open: reading it again costs half, and each open file about 5 kB in the kernel.

        Raises:
            ProcessGoneError: the process has ended.
        """
        fd = self._open.get(file)
        try:
            if fd is not None:
                return read_whole(fd, _READ_SIZE)
            return None if file in self._barred else self._read_new(file, keep=keep)
        except ProcessLookupError as error:
            raise ProcessGoneError from error
        except FileNotFoundError as error:
            if file in _NEEDED:
                raise ProcessGoneError from error
        except PermissionError:
            pass
        self._barred |= {file}
        return None

    def _read_new(self, file: str, *, keep: bool) -> bytes:
        fd = os.open(f"{self._folder}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        if keep and self._budget.left > 0:
            self._budget.left -= 1
            self._open[file] = fd
            return read_whole(fd, _READ_SIZE)
        try:
            return read_whole(fd, _READ_SIZE)
        finally:
            os.close(fd)

    def count_descriptors(self) -> int | None:
        """Open descriptors, by the size of their directory (since Linux 6.2, for every user)."""
        try:
            return os.stat(f"{self._folder}/fd").st_size  # noqa: PTH116 - as above
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            return None

    def list_descriptors(self) -> list[str] | None:
        """Names of the open descriptors; None when this user may not see them."""
        try:
            return os.listdir(f"{self._folder}/fd")  # noqa: PTH208 - as above
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            return None

    def read_threads(self, file: str, *, most: int) -> dict[str, bytes]:
        """A file of each thread, by its name; of those that end meanwhile, none; of more than most, nothing."""
        try:
            names = os.listdir(f"{self._folder}/task")  # noqa: PTH208 - as above
        except OSError:
            return {}
        texts = {name: read_once(Path(f"{self._folder}/task/{name}/{file}")) for name in names[: most + 1]}
        return {name: text for name, text in texts.items() if text} if len(names) <= most else {}

    def count_sockets(self, descriptors: list[str]) -> int | None:
        """How many of these descriptors are sockets; None when this user may not see it."""
        sockets = 0
        for name in descriptors:
            try:
                sockets += os.readlink(f"{self._folder}/fd/{name}").startswith("socket:")  # noqa: PTH115 - as above
            except PermissionError:
                return None
            except (ProcessLookupError, FileNotFoundError):
                continue  # closed meanwhile
        return sockets

    def close_all_but(self, kept: str) -> None:
        """Close all files but one."""
        for file in [file for file in self._open if file != kept]:
            os.close(self._open.pop(file))
            self._budget.left += 1

    def close(self) -> None:
        """Close all; calling it again does nothing."""
        self.close_all_but("")
