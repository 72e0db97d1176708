"""A store in one SQLite file: where its parts are, and how it is opened."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from kernelsight.errors import StoreError
from kernelsight.stores.backup import BackedUp, Progress
from kernelsight.stores.damage import Repaired
from kernelsight.stores.inbox import Inbox
from kernelsight.stores.limits import Limit, Retained
from kernelsight.stores.sqlite.database_path import database_path
from kernelsight.stores.sqlite.deriver import SqliteDeriver, open_deriver
from kernelsight.stores.sqlite.lock import holder_of
from kernelsight.stores.sqlite.reader import SqliteReader, open_reader
from kernelsight.stores.sqlite.twins.folder import folder_of
from kernelsight.stores.sqlite.whereabouts import set_aside
from kernelsight.stores.sqlite.writer import SqliteWriter, open_writer
from kernelsight.trusted_paths import UntrustedPathError, as_owner_of, open_directory, open_file


class SqliteStore:
    """See :class:`kernelsight.stores.base.Store`."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def path(self) -> Path:
        """The file, links followed."""
        return database_path(self.url)

    @property
    def identity(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def directory(self) -> Path:
        """The file's directory."""
        return self.path.parent

    @property
    def inbox(self) -> Inbox:
        """The folder beside the file."""
        return Inbox(self.path.with_name(f"{self.path.name}.inbox"))

    def exists(self) -> bool:
        """Whether the file does."""
        return self.path.exists()

    def size_bytes(self) -> int:
        """Bytes of the file with its write-ahead log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By a lock on a file beside the database."""
        path = self.inbox.folder.with_name(f"{self.inbox.folder.name}.lock")
        try:
            with as_owner_of(path.parent):
                directory = open_directory(path.parent)
                try:
                    fd = open_file(directory, path.name, path, os.O_RDWR | os.O_CREAT)
                finally:
                    os.close(directory)
        except OSError as error:
            raise StoreError(f"{path}: cannot be made: {error.strerror}") from error
        except UntrustedPathError as error:
            raise StoreError(str(error)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def writer_pid(self) -> int | None:
        """Who has the lock beside the file."""
        return holder_of(self.path)

    def writer(self, *, mode: int | None = None, background: bool = False) -> SqliteWriter:
        """Open it for writing."""
        return open_writer(self.url, mode=mode, background=background)

    def reader(self) -> SqliteReader:
        """Open it for reading."""
        return open_reader(self.url)

    def deriver(self, *, make: bool = False) -> SqliteDeriver:
        """Open it for replacing what is derived."""
        return open_deriver(self.url, make=make)

    def retained(self, changes: Mapping[Limit, int | None]) -> Retained:
        """From its books, and the sizes of its pages."""
        from kernelsight.stores.sqlite.retained import retained  # noqa: PLC0415 - seldom needed

        return retained(self.path, changes)

    def apply_limits(self, changes: Mapping[Limit, int | None]) -> Iterator[str]:
        """By this process, or by the daemon that writes."""
        from kernelsight.stores.sqlite.applying import apply_limits  # noqa: PLC0415 - seldom needed

        return apply_limits(self.path, changes)

    def back_up(self, folder: Path) -> Generator[Progress, None, BackedUp]:
        """From one read transaction."""
        from kernelsight.stores.sqlite.backup import back_up  # noqa: PLC0415 - seldom needed

        return back_up(self.path, folder)

    def restore(self, folder: Path) -> Generator[Progress, None, BackedUp]:
        """To where no file is."""
        from kernelsight.stores.sqlite.restore import restore  # noqa: PLC0415 - seldom needed

        return restore(folder, self.path)

    def repair(self) -> Iterator[Repaired]:
        """The file, its twins, and then the files that were set aside from it as a whole: their rows come into it."""
        from kernelsight.stores.sqlite.adoption import adopt  # noqa: PLC0415 - seldom needed
        from kernelsight.stores.sqlite.repair import repair  # noqa: PLC0415

        before = set_aside(self.path)
        yield repair(self.path)
        if folder_of(self.path).is_dir():
            from kernelsight.stores.sqlite.twins.repairing import repair_twins  # noqa: PLC0415 - with it comes pyarrow

            if (repaired := repair_twins(self.path)) is not None:
                yield repaired
        for file in before:
            yield adopt(self.path, file)
