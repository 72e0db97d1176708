"""The chain of a user's steps in one database: its head is kept with the key, outside the database.

Each sealed step carries its number and the seal of the step before it. Who can write to the database can neither make
such a step nor change one; the head, which says how many there are, shows when one was removed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kernelsight.agent.acting.seal import Seal
from kernelsight.errors import KernelSightError, StoreError
from kernelsight.events.action import ActionStep
from kernelsight.stores.base import store
from kernelsight.trusted_paths import UntrustedPathError, require_trusted_directory

_FOLDER = "audit"
_SUFFIX = ".head"


class Head(msgspec.Struct, frozen=True):
    """Where a chain ends."""

    chain: str
    """Its name, which every step of it carries."""
    database: str
    """The file that it is of; empty where the chain was ended."""
    key: str
    """Which key its steps are sealed with (:attr:`Seal.name`)."""
    sequence: int = 0
    """The number of the last step; the first is 1."""
    seal: str | None = None
    """Of the last step."""
    pending: tuple[ActionStep, ...] = ()
    """The last steps, where the writer may have ended before the database had them."""


class Chain:
    """The chain of one database, and what is kept beside it."""

    def __init__(self, db_path: str, seal: Seal) -> None:
        self._database = store(db_path).identity
        self._seal = seal
        self.folder = seal.folder / _FOLDER

    def append(self, steps: Sequence[ActionStep], keep: Callable[[Sequence[ActionStep]], None]) -> list[ActionStep]:
        """Seal steps as the next ones of the chain.

        The head says so on disk before they are kept. After a crash between the two, the next call keeps them.

        Args:
            steps: without their places.
            keep: stores the sealed steps; a step may be given to it twice. Where it raises, nothing has happened.

        Raises:
            StoreError: the head cannot be read or written.
        """
        with self.alone():
            head = self.head() or Head(secrets.token_hex(8), self._database, self._seal.name)
            sealed: list[ActionStep] = []
            sequence, previous = head.sequence, head.seal
            for step in steps:
                sequence += 1
                placed = msgspec.structs.replace(step, chain=head.chain, sequence=sequence, previous=previous)
                sealed.append(self._seal.sealed(placed))
                previous = sealed[-1].seal
            longer = msgspec.structs.replace(head, sequence=sequence, seal=previous, pending=(*head.pending, *sealed))
            self._save(longer)
            try:
                keep(longer.pending)
            except KernelSightError:
                self._save(head)
                raise
            with suppress(StoreError):  # then they are kept twice, which is no break
                self._save(msgspec.structs.replace(longer, pending=()))
        return sealed

    def start_anew(self) -> Head | None:
        """End the chain of this database: what is missing up to now is not looked for any more.

        Returns:
            the head that it had; None where there was none.
        """
        with self.alone():
            head = self.head()
            if head is not None:
                self._save(msgspec.structs.replace(head, database=""))
            return head

    def head(self) -> Head | None:
        """The head of this database's chain; None where this user has not acted yet, or has a new key.

        Raises:
            StoreError: it cannot be read.
        """
        heads = [head for head in self.heads() if head.database == self._database and head.key == self._seal.name]
        return max(heads, key=lambda head: head.sequence, default=None)

    def heads(self) -> list[Head]:
        """The heads of all chains of this user.

        Raises:
            StoreError: one cannot be read.
        """
        return [_read(path) for path in sorted(self.folder.glob(f"*{_SUFFIX}"))]

    def _save(self, head: Head) -> None:
        replace_file(self.folder / f"{head.chain}{_SUFFIX}", msgspec.json.encode(head))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While entered, the chain does not grow.

        Raises:
            StoreError: the lock cannot be made.
        """
        private_folder(self.folder)
        path = self.folder / "lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _read(path: Path) -> Head:
    try:
        return msgspec.json.decode(read_private(path), type=Head)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"{path}: is not the head of a chain ({error}); move it away, and what is missing cannot be told"
        ) from error


def private_folder(folder: Path) -> None:
    """Make a folder that only this user can enter, or check that it is one.

    Raises:
        StoreError: it cannot be made, or others can enter it.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise StoreError(f"{folder}: others can enter this folder of the audit; type: chmod 700 {folder}")
    try:
        require_trusted_directory(folder)
    except UntrustedPathError as error:
        raise StoreError(f"{folder}: cannot be the folder of the audit: {error}") from error


def read_private(path: Path) -> bytes:
    """What stands in a file that only this user can read.

    Raises:
        StoreError: it cannot be read, or others can read it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise StoreError(f"{path}: belongs to another user, or others can read it; type: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in the place of another, whole and on disk.

    Raises:
        StoreError: it cannot be written.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
