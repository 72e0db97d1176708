"""A store as one on a server is: named by a URL, without a directory, an inbox or a size on this machine.

Its rows are in SQLite all the same; what other rooms see of it is the contract alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from kernelsight.errors import StoreError
from kernelsight.stores.backup import BackedUp, Progress
from kernelsight.stores.damage import Repaired
from kernelsight.stores.limits import Limit
from kernelsight.stores.sqlite import SqliteDeriver, SqliteReader, SqliteWriter, open_deriver, open_reader, open_writer
from kernelsight.stores.sqlite.dialect import SqliteDialect
from kernelsight.stores.sqlite.store import SqliteStore


class ElsewhereDialect(SqliteDialect):
    """One that writes things in its own way."""

    def int_div(self, dividend: str, divisor: str) -> str:
        """As a cast."""
        return f"CAST(({dividend}) / ({divisor}) AS INTEGER)"


class ElsewhereStore:
    """See :class:`kernelsight.stores.base.Store`."""

    directory = None
    inbox = None

    def __init__(self, url: str) -> None:
        self._url = url
        self._file = url.partition("://")[2]

    @property
    def identity(self) -> str:
        """Its URL."""
        return self._url

    def exists(self) -> bool:
        """Whether it has been made."""
        return SqliteStore(self._file).exists()

    def size_bytes(self) -> None:
        """Not known here."""

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else is kept out."""
        return nullcontext()

    def writer_pid(self) -> None:
        """Not known here."""

    def writer(self, *, mode: int | None = None, background: bool = False) -> SqliteWriter:
        """Open it for writing."""
        return open_writer(self._file, mode=mode, background=background)

    def reader(self) -> SqliteReader:
        """Open it for reading."""
        reader = open_reader(self._file)
        reader.dialect = ElsewhereDialect()
        return reader

    def deriver(self, *, make: bool = False) -> SqliteDeriver:
        """Open it for replacing what is derived."""
        return open_deriver(self._file, make=make)

    def retained(self, changes: Mapping[Limit, int | None]) -> None:
        """Its server decides what goes."""

    def apply_limits(self, changes: Mapping[Limit, int | None]) -> Iterator[str]:
        """Its server does that."""
        return iter(())

    def back_up(self, folder: Path) -> Generator[Progress, None, BackedUp]:
        """Its server does that."""
        raise StoreError(f"{self._url}: its server has backups of its own; {folder} is not used")

    def restore(self, folder: Path) -> Generator[Progress, None, BackedUp]:
        """Its server does that."""
        raise StoreError(f"{self._url}: its server has backups of its own; {folder} is not used")

    def repair(self) -> Iterator[Repaired]:
        """Its server does that."""
        return iter(())


STORE = ElsewhereStore
