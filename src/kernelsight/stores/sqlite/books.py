"""The books beside the rows: the lines of every kind, the lines that were refused, and how long rows are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

import apsw

from kernelsight.stores.base import Account, Rejected, Value
from kernelsight.stores.sqlite.losses import Loss

KEPT_REJECTED = 10_000
"""Refused lines that are kept, the newest; the books count all."""

CREATE_COLLECTORS = """CREATE TABLE collectors (
    kind TEXT PRIMARY KEY,
    lines INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    in_memory INTEGER NOT NULL DEFAULT 0,
    first_timestamp INTEGER,
    last_timestamp INTEGER,
    name TEXT,
    source TEXT,
    status TEXT,
    reason TEXT,
    lost INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER
) WITHOUT ROWID"""

CREATE_REJECTED = (
    """CREATE TABLE rejected_events (
    id INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw NOT NULL,
    size INTEGER NOT NULL
)""",
    "CREATE INDEX rejected_events_timestamp ON rejected_events (timestamp)",
    "CREATE INDEX rejected_events_kind_timestamp ON rejected_events (kind, timestamp)",
)

CREATE_RETENTION = """CREATE TABLE retention (
    table_name TEXT PRIMARY KEY,
    keep_ns INTEGER NOT NULL
) WITHOUT ROWID"""

_COUNTS = ("lines", "stored", "rejected", "dropped", "in_memory")
_FIELDS = tuple(field.name for field in fields(Account))
_SAVE = (
    f"INSERT INTO collectors (kind, {', '.join(_FIELDS)}, updated_at)"
    f" VALUES ({', '.join('?' * (len(_FIELDS) + 2))})"
    f" ON CONFLICT (kind) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in (*_FIELDS, 'updated_at'))}"
)


def raw_value(raw: bytes) -> str | bytes:
    """A line as text, where it is text, so that people can read and search it; as bytes otherwise."""
    try:
        return raw.decode() if b"\0" not in raw else raw
    except UnicodeDecodeError:
        return raw


def _storable(text: str) -> str:
    """Text that may quote a line, lone surrogates included, as text that has an encoding."""
    return text.encode(errors="backslashreplace").decode()


def keep_rejected(connection: apsw.Connection, rejected: list[Rejected], kept: int = KEPT_REJECTED) -> None:
    """Add refused lines and let the oldest beyond the bound go."""
    connection.executemany(
        "INSERT INTO rejected_events (timestamp, kind, reason, raw, size) VALUES (?, ?, ?, ?, ?)",
        [
            (line.timestamp, _storable(line.kind), _storable(line.reason), raw_value(line.raw), line.size)
            for line in rejected[-kept:]
        ],
    )
    connection.execute("DELETE FROM rejected_events WHERE id <= (SELECT max(id) FROM rejected_events) - ?", (kept,))


class Books:
    """The accounts of all runs: what earlier runs left, plus what this run reports."""

    def __init__(self, connection: apsw.Connection, lost: Books | None = None) -> None:
        """Read what earlier runs left.

        Args:
            connection: to the database.
            lost: the books of this run in a file that is gone; this file begins where that one began.
        """
        self._connection = connection
        self._before = load_accounts(connection)
        self._first = self._before if lost is None else lost.first
        self._saved: dict[str, Account] = {}

    @property
    def first(self) -> Mapping[str, Account]:
        """What earlier runs had left in the first file of this run; its counts of lines go on from there."""
        return self._first

    def forget(self) -> None:
        """The file is gone: whatever is said from now on, a file that has nothing of this run is told."""
        self._before, self._saved = {}, {}

    @property
    def before(self) -> Mapping[str, Account]:
        """What earlier runs left."""
        return self._before

    def save(self, accounts: Mapping[str, Account], refused: Mapping[str, int], now_ns: int) -> dict[str, Account]:
        """Write the accounts that changed; to be called within a transaction.

        Args:
            accounts: totals of this run, per kind.
            refused: rows of this batch that the store would not take, per kind: moved from stored to rejected.
            now_ns: for ``updated_at``.

        Returns:
            what was written, for :meth:`committed`.
        """
        changed: dict[str, Account] = {}
        for kind, account in accounts.items():
            if moved := refused.get(kind, 0):
                changed[kind] = replace(account, stored=account.stored - moved, rejected=account.rejected + moved)
            elif self._saved.get(kind) != account:
                changed[kind] = replace(account)
        self._connection.executemany(_SAVE, [self._row(kind, account, now_ns) for kind, account in changed.items()])
        return changed

    def committed(self, changed: Mapping[str, Account]) -> None:
        """What :meth:`save` wrote is now stored."""
        self._saved.update(changed)

    def unsaved(self, accounts: Mapping[str, Account]) -> dict[str, Loss]:
        """What these accounts of this run say of lines that the saved ones do not, as if all in memory were lost."""
        losses: dict[str, Loss] = {}
        for kind, account in accounts.items():
            saved, before = self._saved.get(kind, Account()), self._before.get(kind, Account())
            dropped = account.dropped - saved.dropped + account.in_memory
            loss = Loss(before.lines + saved.lines, account.rejected - saved.rejected, dropped)
            if loss.rejected or loss.dropped:
                losses[kind] = loss
        return losses

    def _row(self, kind: str, account: Account, now_ns: int) -> tuple[Value, ...]:
        before = self._before.get(kind, Account())
        counts = [getattr(before, name) + getattr(account, name) for name in _COUNTS]
        first = min(_known((before.first_timestamp, account.first_timestamp)), default=None)
        last = max(_known((before.last_timestamp, account.last_timestamp)), default=None)
        if account.run is None:
            run = before.run, before.lines_before_run
        else:
            shift = before.lines - self._first.get(kind, Account()).lines
            run = account.run, None if account.lines_before_run is None else account.lines_before_run + shift
        return (kind, *counts, first, last, *run, now_ns)


def _known(stamps: Iterable[int | None]) -> list[int]:
    return [stamp for stamp in stamps if stamp is not None]


def load_accounts(connection: apsw.Connection) -> dict[str, Account]:
    """The accounts of all kinds."""
    rows = list(connection.execute(f"SELECT kind, {', '.join(_FIELDS)} FROM collectors"))
    return {kind: Account(*values) for kind, *values in rows}


def book_losses(connection: apsw.Connection, losses: Mapping[str, Loss], now_ns: int) -> None:
    """Add what an earlier writer noted and could not book, in one transaction; a second time changes nothing."""
    with connection:
        for kind, loss in losses.items():
            connection.execute("INSERT INTO collectors (kind) VALUES (?) ON CONFLICT DO NOTHING", (kind,))
            # Other lines than before: it was committed after all.
            connection.execute(
                """UPDATE collectors SET lines = lines + ?1 + ?2, rejected = rejected + ?1, dropped = dropped + ?2,
                    updated_at = ?3 WHERE kind = ?4 AND lines = ?5""",
                (loss.rejected, loss.dropped, now_ns, kind, loss.lines_before),
            )


def carry_over(connection: apsw.Connection, accounts: Mapping[str, Account], now_ns: int) -> None:
    """Begin the books of a new file with those of one that was set aside: what was stored there counts as dropped."""
    for kind, account in accounts.items():
        gone = account.stored + account.dropped + account.in_memory
        counts = replace(account, stored=0, dropped=gone, in_memory=0)
        values = [getattr(counts, name) for name in _FIELDS]
        connection.execute(_SAVE, (kind, *values, now_ns))


def count_recovered(connection: apsw.Connection, rows: Mapping[str, int]) -> None:
    """Move recovered rows from dropped to stored; where fewer were dropped, the others are lines of their own."""
    for kind, count in rows.items():
        connection.execute("INSERT INTO collectors (kind) VALUES (?) ON CONFLICT DO NOTHING", (kind,))
        connection.execute(
            """UPDATE collectors SET stored = stored + ?1, lines = lines + max(0, ?1 - dropped),
                dropped = max(0, dropped - ?1) WHERE kind = ?2""",
            (count, kind),
        )


def settle_crash(connection: apsw.Connection) -> None:
    """Lines that were in memory when the last writer died are gone: book them as dropped."""
    connection.execute("UPDATE collectors SET dropped = dropped + in_memory, in_memory = 0 WHERE in_memory > 0")
