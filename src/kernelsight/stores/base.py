"""The contract of a store: what ingestion writes through, and what every reader reads through.

A backend is a package in :mod:`kernelsight.stores`, named as the scheme of its URLs (`sqlite` for files), with a class
``STORE`` that keeps the contract of :class:`Store`. It is found by its name, and no other room knows it;
``tests/stores/contract.py`` is the suite that each must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from kernelsight.errors import StoreError
from kernelsight.events.declare import Event
from kernelsight.registry import Plugins

if TYPE_CHECKING:  # for annotations alone: `kernelsight query --help` imports this module, and 5 ms of it are saved
    from kernelsight.stores.backup import BackedUp, Progress
    from kernelsight.stores.damage import Damage, Repaired
    from kernelsight.stores.dialect import Dialect
    from kernelsight.stores.inbox import Inbox
    from kernelsight.stores.limits import Limit, Retained

T = TypeVar("T")
Value = int | float | str | bytes | None
Row = tuple[Value, ...]
"""The columns of one event in the order of its struct, ``timestamp`` first."""

DEFAULT_DB_PATH = "data/kernelsight.db"


@dataclass(slots=True)
class Account:
    """What became of the lines of one kind; at any moment ``lines = stored + rejected + dropped + in_memory``."""

    lines: int = 0
    stored: int = 0
    rejected: int = 0
    dropped: int = 0
    in_memory: int = 0
    first_timestamp: int | None = None
    last_timestamp: int | None = None
    run: int | None = None
    """The run of the collectors that printed the last of them (:mod:`kernelsight.ingest.printed`)."""
    lines_before_run: int | None = None
    """Lines of the kind in all accounts when that run began."""


@dataclass(frozen=True, slots=True)
class Book:
    """The account of one kind over all that the store has seen."""

    kind: str
    lines: int
    stored: int
    rejected: int
    dropped: int
    in_memory: int
    lost: int
    """Lines that collectors printed and nobody read."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason for which lines of a kind were refused."""

    kind: str
    reason: str
    lines: int
    """Among the refused lines that are kept."""
    last_timestamp: int | None
    """When the last of them was refused (ns since the epoch)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that could not become a row: kept as it came, cut to a bound, with the reason."""

    timestamp: int
    """When it was refused (ns since the epoch)."""
    kind: str
    """Kind it was taken for; `unknown` where that could not be told."""
    reason: str
    raw: bytes
    size: int
    """Bytes of the whole line, of which ``raw`` may be the beginning."""


@dataclass(slots=True)
class Batch:
    """What is committed together: events, refusals and the books that account for both."""

    events: dict[type[Event], list[Row]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """Books per kind as they will stand when this batch is committed: totals of this run of the daemon."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the store would not take; it is not stored, everything else of its batch is."""

    struct: type[Event]
    row: Row
    reason: str


@runtime_checkable
class Writer(Protocol):
    """The one process that writes events to a store."""

    def write(self, batch: Batch) -> Sequence[RefusedRow]:
        """Commit a batch whole; when this returns, it survives SIGKILL.

        Returns:
            the rows that were refused one by one (the writer has moved them, in its books, from stored
            to rejected, and kept them as rejected events; the caller moves them in its own, which come with
            the next batch).

        Raises:
            StoreLostError: nor is anything that was written before in the store any more; the next write begins a new
                one. Accounts that come from then on count as dropped what was stored.
            StoreError: nothing of the batch was stored; it may be written again later.
        """

    def check(self) -> None:
        """Make sure that what was committed is where readers look for it.

        Raises:
            StoreLostError: it is gone; nothing that this writer has written is in the store that the next write begins.
            StoreError: that cannot be told, or a new store cannot be begun.
        """

    def notices(self) -> Sequence[str]:
        """What has gone wrong in the store since this was last asked and was got over, a sentence each."""

    def accounts(self) -> Mapping[str, Account]:
        """The books per kind as they stood when it was opened: of all runs before this one."""

    def note_losses(self, accounts: Mapping[str, Account]) -> None:
        """Keep, outside of what cannot be written, what would be in no account if this process ended now.

        The next writer books it: lines that were refused or dropped since the last commit, and those in memory
        as dropped. A commit that succeeds makes it void.

        Args:
            accounts: totals of this run, per kind.

        Raises:
            StoreError: it cannot be kept either.
        """

    def set_limits(self, limits: Mapping[Limit, int | None]) -> None:
        """Set how long rows are kept and how much disk they may take; it is kept with the store.

        A limit that was never set gets its default (:data:`kernelsight.stores.limits.DEFAULTS`). A store for which this
        was never called keeps everything for good. :meth:`maintain` lets go of what is beyond the limits.

        Args:
            limits: those that change; None as a value: no limit.
        """

    def maintain(self, *, budget_s: float) -> Sequence[str]:
        """Do what is due (sealing, rollups, retention) for about this long; called when there is time.

        Returns:
            what a person should know and do, a sentence each; the store goes on without it.
        """

    def close(self) -> None:
        """Finish, release the lock; calling it again does nothing."""


@dataclass(frozen=True, slots=True)
class Volume:
    """How many rows a range of a table has for who reads all of them, at most."""

    rows: int
    by_column: int = 0
    """So many of them can be read by column (:meth:`Reader.by_column`)."""
    parts: int = 0
    """In so many files or other parts."""
    only_by_column: int = 0
    """So many of them are nowhere else."""
    is_loaded: bool = False
    """Whether what reads by column is loaded already, which takes some tenths of a second."""


@runtime_checkable
class Reader(Protocol):
    """A read-only view of a store. Several may exist; none blocks the writer.

    Every table has a column ``id``: an integer that tells a row from all others of its table, for good, and is greater
    than those of the rows that arrived before it. A row is cited by its table and its id.
    """

    dialect: Dialect
    """How the SQL that :meth:`query` understands differs from that of other stores."""

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """Run one statement that reads; rows come out as dicts in the order of the columns."""

    def statement(self, sql: str) -> tuple[Sequence[str], Iterator[Row]]:
        """Run what a person wrote: one statement that reads, on all rows, under the public names of the tables.

        Returns:
            the names of the columns, and the rows; they are read before the next statement.

        Raises:
            UsageError: it is no statement of this store's SQL, or it does something else than read.
            StoreError: the store cannot be read.
        """

    def tuples(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """As :meth:`query`, for who reads many rows and knows the columns: in half the time."""

    def objects(self, make: Callable[..., T], sql: str, params: Sequence[Value] = ()) -> list[T]:
        """What a function makes of the columns of each row: as :meth:`tuples`, for who needs all of them anyway."""

    def relation(
        self,
        table: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Iterable[str] | None = None,
    ) -> tuple[str, tuple[Value, ...]]:
        """SQL (in parentheses, to stand after FROM) and its parameters for the rows of a time range.

        It touches only the segments that can hold the range; bounds are inclusive. The columns are
        ``id`` and those of the kind, or the ones asked for.
        """

    def volume(self, table: str, start_ns: int | None = None, end_ns: int | None = None) -> Volume:
        """How much there is to read in a range; asked from the books alone."""

    def by_column(self) -> Reader | None:
        """A reader of the same rows that is faster where a statement reads many of them, and slower where it reads few.

        Its dialect is its own, its answers are the same, and its methods raise :class:`kernelsight.errors.ScanError`
        where it cannot give them. Whoever asks for it closes it after the question. None: this one is as good.
        """

    def holds(self, table: str) -> bool:
        """Whether there is such a table: a store that an older version has written lacks those of newer kinds."""

    def bounds(self, table: str) -> tuple[int, int] | None:
        """First and last timestamp of a table, from the books; None when it is empty."""

    def count(self, table: str) -> int:
        """Rows of a table that can be read."""

    def books(self) -> Sequence[Book]:
        """The account of each kind of which there were lines, by kind."""

    def refusals(self, limit: int) -> Sequence[Refusal]:
        """Why lines were refused, the most frequent reasons first."""

    def damages(self, *, look_s: float = 0.0) -> Sequence[Damage]:
        """What is missing from answers: parts that were set aside, and those that this reader has met.

        Args:
            look_s: read parts that are not known to be damaged for about so long first, the newest first.
        """

    def close(self) -> None:
        """Release it; calling it again does nothing."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Rows of a derived kind, and the rows that they stand in for."""

    struct: type[Event]
    rows: Sequence[Row]
    start_ns: int
    """Rows of the kind from this stamp on go ..."""
    end_ns: int
    """... to this one, both included ..."""
    keys: tuple[str, ...] = ()
    """... where they have the same values in these columns as one of the new rows; none: all of them."""


@runtime_checkable
class Deriver(Protocol):
    """Writes what is calculated from events; may stand beside the writer and needs no lock of its own.

    Who derives something keeps a text under its name that says how far it has come; rows and text change
    together or not at all.
    """

    def progress(self, name: str) -> str | None:
        """The text that was kept last under a name."""

    def replace(self, name: str, before: str | None, after: str, changes: Iterable[Replacement]) -> bool:
        """Make changes and keep a new text in one transaction; when this returns True, both survive SIGKILL.

        Returns:
            False, with nothing changed, where the text is not ``before`` any more: somebody else has derived.

        Raises:
            StoreError: nothing was changed.
        """

    def close(self) -> None:
        """Release it; calling it again does nothing."""


@runtime_checkable
class Store(Protocol):
    """One store, by what ``--db-path`` says of it. Nothing is opened or made before it is asked for.

    Raises:
        StoreError: in every method, where what was said cannot name a store.
    """

    def __init__(self, url: str) -> None: ...

    @property
    def identity(self) -> str:
        """What tells it from all other stores: a file with links followed, or a URL."""

    @property
    def directory(self) -> Path | None:
        """The directory of its files, to whose owner the store belongs; None where none of it is on this machine."""

    @property
    def inbox(self) -> Inbox | None:
        """Where those who are not its writer leave events; None where several may write at a time."""

    def exists(self) -> bool:
        """Whether it has been made."""

    def size_bytes(self) -> int | None:
        """Bytes on disk, the write-ahead log included; None where that is not known."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep out other processes that ask for the same: of two who approve an action, the second finds it done.

        Raises:
            StoreError: the lock cannot be made.
        """

    def writer_pid(self) -> int | None:
        """The process of this machine that has it open for writing; None: nobody has, or that is not known.

        Raises:
            StoreError: it cannot be looked up.
        """

    def writer(self, *, mode: int | None = None, background: bool = False) -> Writer:
        """See :func:`open_writer`."""

    def reader(self) -> Reader:
        """See :func:`open_reader`."""

    def deriver(self, *, make: bool = False) -> Deriver:
        """See :func:`open_deriver`."""

    def retained(self, changes: Mapping[Limit, int | None]) -> Retained | None:
        """What it keeps in each tier, under which limits, and what would go now; None where its server decides that.

        Args:
            changes: limits that are tried, instead of those that it has; nothing is changed.

        Raises:
            StoreError: it does not exist or cannot be read.
        """

    def apply_limits(self, changes: Mapping[Limit, int | None]) -> Iterable[str]:
        """Set limits, let go of what is beyond them, and return the space.

        Returns:
            a sentence for each thing that is done, as it is done.

        Raises:
            StoreError: it does not exist or cannot be written.
        """

    def back_up(self, folder: Path) -> Generator[Progress, None, BackedUp]:
        """Copy everything into a folder while it is written to; how far that is, as it goes on.

        Raises:
            StoreError: it cannot be read, the folder cannot be written, or its server has backups of its own.
        """

    def restore(self, folder: Path) -> Generator[Progress, None, BackedUp]:
        """Bring back what :meth:`back_up` made, to where there is no store.

        Raises:
            StoreError: there is a store already, the backup is not whole, or it cannot be written.
        """

    def repair(self) -> Iterable[Repaired]:
        """Recover the readable rows of what is damaged; nobody may be writing.

        Returns:
            what became of each file or other part that was looked at, as it is done. A store that keeps copies of its
            rows by itself, or whose server repairs them, gives nothing.

        Raises:
            StoreBusyError: somebody writes to it.
            StoreError: it does not exist, cannot be read, or there is no room for a repaired copy; everything is as it
                was.
        """


_OF_FILES = "sqlite"
_BACKENDS: Plugins[type[Store]] = Plugins("kernelsight.stores", lambda package: package.STORE, packages=True)


@cache
def _backend(scheme: str) -> type[Store] | None:
    return _BACKENDS.get(scheme)


def store(url: str) -> Store:
    """The store that a path or a URL names.

    Raises:
        StoreError: no backend has the URL's scheme.
    """
    scheme, separator, _ = url.partition("://")
    backend = _backend(scheme if separator else _OF_FILES)
    if backend is None:
        known = ", ".join(f"{name}://" for name in _BACKENDS.names() if name != _OF_FILES)
        raise StoreError(
            f"--db-path {url}: no store speaks {scheme}://; use a file" + (f" or {known}" if known else "")
        )
    return backend(url)


def open_writer(url: str, *, mode: int | None = None, background: bool = False) -> Writer:
    """Open a store for writing, made or migrated first where needed.

    Args:
        url: a file, or the URL of a store.
        mode: permissions of a file that is made; those that the store chooses by default.
        background: upkeep that takes long may be done by processes that the writer starts.

    Raises:
        StoreBusyError: somebody else writes to it.
        StoreVersionError: it was made by a newer version.
        StoreError: it cannot be opened.
    """
    return store(url).writer(mode=mode, background=background)


def open_reader(url: str) -> Reader:
    """Open a store for reading only.

    Raises:
        StoreVersionError: it was made by a newer version.
        StoreError: it does not exist or cannot be opened.
    """
    return store(url).reader()


def open_deriver(url: str, *, make: bool = False) -> Deriver:
    """Open a store for replacing what is derived.

    Args:
        url: the store.
        make: give it the tables of this version where it lacks one, which nobody else may be writing for.

    Raises:
        StoreVersionError: it was made by a newer version.
        StoreBusyError: it lacks a table, and somebody writes to it.
        StoreError: it cannot be opened, does not exist, or lacks a table.
    """
    return store(url).deriver(make=make)
