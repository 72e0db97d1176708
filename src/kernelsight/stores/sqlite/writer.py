"""The one writer of a database file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from kernelsight.errors import StoreError, StoreLostError
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.wire import kinds as all_kinds
from kernelsight.stores.base import Account, Batch, RefusedRow, Rejected, Row
from kernelsight.stores.limits import Limit
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.books import Books, book_losses, carry_over, count_recovered, keep_rejected, settle_crash
from kernelsight.stores.sqlite.checkpoint import Checkpointer, finish
from kernelsight.stores.sqlite.connect import connect_writer, integer, make_file, translated
from kernelsight.stores.sqlite.damage import DAMAGED, abandon, is_ours, readable_accounts
from kernelsight.stores.sqlite.database_path import database_path
from kernelsight.stores.sqlite.insert import ROW_ERRORS, insert, reason_of
from kernelsight.stores.sqlite.layout import Layout
from kernelsight.stores.sqlite.lock import WriterLock
from kernelsight.stores.sqlite.losses import Losses
from kernelsight.stores.sqlite.migrations import MIGRATIONS, Migration
from kernelsight.stores.sqlite.reports import Reports
from kernelsight.stores.sqlite.retention import Retention
from kernelsight.stores.sqlite.rollups import register_functions
from kernelsight.stores.sqlite.schema import prepare
from kernelsight.stores.sqlite.segments import FUTURE_TOLERANCE_NS, Segment
from kernelsight.stores.sqlite.space import compact
from kernelsight.stores.sqlite.tiers import Tiers
from kernelsight.stores.sqlite.twins.books import is_due
from kernelsight.stores.sqlite.twins.child import TwinMaker
from kernelsight.stores.sqlite.upkeep import Upkeep
from kernelsight.stores.sqlite.whereabouts import MOVED, Whereabouts

_REPORTS = kind_of(CollectorReport).table


class SqliteWriter:
    """Writes batches to the hot segments; seals, summarises and retires segments when there is time."""

    def __init__(  # noqa: PLR0913 - all but the path by keyword
        self,
        path: Path,
        *,
        kinds: Mapping[str, Kind] | None = None,
        migrations: list[Migration] | None = None,
        segment_rows: int | None = None,
        mode: int | None = None,
        background: bool = False,
    ) -> None:
        """Take the lock and open the file.

        Args:
            path: the database; made where it does not exist.
            kinds: the declarations to follow; all of them by default.
            migrations: the steps to apply; all of them by default.
            segment_rows: rows at which a segment is full; SEGMENT_ROWS by default.
            mode: permissions of the file where it is made; its owner's, and its group `kernelsight`'s, by default.
            background: :meth:`maintain` may start a process that makes columnar twins.
        """
        self._path = path
        self._lock = WriterLock(path)
        self._losses = Losses(path)
        self._kinds = all_kinds() if kinds is None else kinds
        self._migrations = MIGRATIONS if migrations is None else migrations
        self._segment_rows, self._mode = segment_rows, mode
        self._books: Books | None = None
        self._left: Whereabouts | None = None
        """The file that was left, until the next is open."""
        self._carried: Mapping[str, Account] = {}
        """Accounts that the next file begins with."""
        self._notices: list[str] = []
        self._twins = TwinMaker(path) if background else None
        self._limits: Mapping[Limit, int | None] | None = None
        """Those that were asked for, also of a file that takes the place of this one."""
        try:
            self._open_or_set_aside()
        except BaseException:
            self._lock.release()
            raise
        with suppress(OSError):  # a loss that cannot be noted is said then
            self._losses.write({})
        self._closed = False

    # --- the file -----------------------------------------------------------------------------------

    def _open(self) -> None:
        make_file(self._path, self._mode)
        connection = connect_writer(self._path)
        try:
            with translated(self._path):
                prepare(connection, self._path, self._kinds, self._migrations)
                carry_over(connection, self._carried, time.time_ns())
                settle_crash(connection)
                if self._books is None:
                    book_losses(connection, self._losses.take(), time.time_ns())
                self._books = Books(connection, self._books)
                self._reports = Reports(connection, self._kinds)
                register_functions(connection)
                self._layout = Layout(connection, self._kinds, self._segment_rows)
                self._checkpointer = Checkpointer(self._path, connection)
        except BaseException:
            abandon(connection)
            raise
        self._connection, self._carried = connection, {}
        self._retention = Retention(self._layout)
        self._tiers = Tiers(self._layout, self._retention, self._path)
        self._upkeep = Upkeep(self._layout, self._retention, self._tiers, self._path)
        if self._limits is not None:
            self._set_limits(self._limits)
        self._whereabouts = Whereabouts(self._path)

    def _open_or_set_aside(self) -> None:
        """Open the file; where it is one of ours and damaged as a whole, set it aside and begin a new one."""
        try:
            self._open()
        except StoreError as error:
            if not isinstance(error.__cause__, DAMAGED) or not is_ours(self._path):
                raise
            self._carried = readable_accounts(self._path)
            aside = self._clear(Whereabouts(self._path))
            rows = sum(account.stored for account in self._carried.values())
            lost = f"{rows:,} rows, which count as dropped," if self._carried else "an unknown number of rows"
            self._notices.append(
                f"{self._path}: was damaged as a whole ({error.__cause__}), and is set aside as {aside} with {lost} in"
                f" it; a new database is begun. `kernelsight repair --db-path {self._path}` recovers what can be read"
            )
            self._open()

    def _clear(self, left: Whereabouts) -> Path | None:
        try:
            return left.clear()
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be set aside: {error.strerror}") from error

    def check(self) -> None:
        """See :class:`kernelsight.stores.base.Writer`."""
        if self._left is not None:
            self._begin_anew(self._left)
        try:
            with translated(self._path, self._connection):
                trouble = self._whereabouts.trouble(self._connection)
        except StoreError as error:
            if not isinstance(error.__cause__, DAMAGED):
                raise
            trouble = f"is damaged as a whole ({error.__cause__})"
        if trouble is not None:
            self._leave(trouble)

    def _leave(self, trouble: str) -> None:
        """Close a file that is not where it was, or not what it was.

        Raises:
            StoreLostError: always.
        """
        assert self._books is not None
        if trouble.startswith(MOVED):
            finish(self._connection)  # everything goes with it
        self._checkpointer.leave()
        abandon(self._connection)
        is_here = self._whereabouts.is_here()
        self._carried = self._books.before if is_here else {}
        self._books.forget()
        self._left = self._whereabouts
        aside = self._clear(self._left)
        where = f" and is set aside as {aside}; `kernelsight repair` recovers what can be read" if aside else ""
        raise StoreLostError(f"{self._path}: {trouble}{where}; a new database is begun")

    def _begin_anew(self, left: Whereabouts) -> None:
        self._clear(left)
        if self._lock.is_gone():
            lock = WriterLock(self._path)
            self._lock.release()
            self._lock = lock
            self._losses.close()
            self._losses = Losses(self._path)
        self._open_or_set_aside()
        self._left = None

    # --- writing ------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> Sequence[RefusedRow]:
        """See :class:`kernelsight.stores.base.Writer`.

        The caller moves refused rows from stored to rejected in its own accounts too: the totals that
        it hands over with the next batch are taken as they are.
        """
        self.check()
        try:
            with translated(self._path, self._connection):
                refused = self._commit_beside_damage(batch)
        except StoreError as error:
            if not isinstance(error.__cause__, DAMAGED):
                raise
            self._leave(f"is damaged as a whole ({error.__cause__})")
            raise
        with suppress(apsw.Error):  # the batch is stored, whatever this says; maintain() meets it again and raises it
            self._upkeep.keep_up()
        return refused

    def _commit_beside_damage(self, batch: Batch) -> list[RefusedRow]:
        while True:
            try:
                return self._commit(batch)
            except apsw.CorruptError:
                if not self._layout.isolate():
                    raise

    def _commit(self, batch: Batch) -> list[RefusedRow]:
        assert self._books is not None
        now = time.time_ns()
        with self._layout.transaction():
            with self._layout.suspecting(*self._layout.of(_REPORTS)):
                reports = self._reports.fold(batch.events.get(CollectorReport, ()), now)
            refused = self._insert_all(batch, now)
            changed = self._books.save(batch.accounts, _per_kind(refused), now)
        self._books.committed(changed)
        with suppress(OSError):  # it is void, as the accounts that it adds to have changed
            self._losses.write({})
        self._reports.committed(reports)
        return refused

    def _insert_all(self, batch: Batch, now: int) -> list[RefusedRow]:
        refused = [row for struct, rows in batch.events.items() if rows for row in self._insert(struct, rows, now)]
        if rejected := [*batch.rejected, *(_as_rejected(row, now) for row in refused)]:
            keep_rejected(self._connection, rejected)
        return refused

    def _insert(self, struct: type[Event], rows: list[Row], now: int) -> list[RefusedRow]:
        kind = self._kinds[_name(struct)]
        hot = self._layout.hot(kind.table)
        with self._layout.suspecting(hot):
            refused = self._fill(hot, kind, rows, now)
        segment_books.save(self._connection, [hot])
        if self._layout.is_due(hot, now):
            self._layout.roll(kind.table)
        return refused

    def _fill(self, hot: Segment, kind: Kind, rows: list[Row], now: int) -> list[RefusedRow]:
        latest = now + FUTURE_TOLERANCE_NS
        refused: list[RefusedRow] = []
        self._connection.execute("SAVEPOINT rows_of_kind")
        try:
            self._layout.book(hot, len(rows), insert(self._connection, kind, hot, rows, latest))
        except ROW_ERRORS:
            self._connection.execute("ROLLBACK TO rows_of_kind")
            for row in rows:
                try:
                    self._layout.book(hot, 1, insert(self._connection, kind, hot, [row], latest))
                except ROW_ERRORS as error:
                    refused.append(RefusedRow(kind.struct, row, reason_of(kind, row, error)))
        self._connection.execute("RELEASE rows_of_kind")
        return refused

    def notices(self) -> Sequence[str]:
        """See :class:`kernelsight.stores.base.Writer`."""
        notices = [*self._notices, *self._layout.take_notices(), *self._tiers.take_notices()]
        self._notices = []
        return notices

    def accounts(self) -> Mapping[str, Account]:
        """See :class:`kernelsight.stores.base.Writer`."""
        assert self._books is not None
        return self._books.before

    def note_losses(self, accounts: Mapping[str, Account]) -> None:
        """See :class:`kernelsight.stores.base.Writer`."""
        assert self._books is not None
        try:
            self._losses.write(self._books.unsaved(accounts))
        except OSError as error:
            raise StoreError(f"{self._losses.path}: losses cannot be noted: {error.strerror or error}") from error

    def maintain(self, *, budget_s: float) -> Sequence[str]:
        """See :class:`kernelsight.stores.base.Writer`."""
        self.check()
        with translated(self._path, self._connection):
            self._upkeep.run(budget_s)
            said = self._twins.tend(due=is_due(self._connection)) if self._twins else []
        return [*self._checkpointer.warnings(), *self._tiers.warnings(), *said]

    def set_limits(self, limits: Mapping[Limit, int | None]) -> None:
        """See :class:`kernelsight.stores.base.Writer`."""
        self._limits = limits
        self._set_limits(limits)

    def _set_limits(self, limits: Mapping[Limit, int | None]) -> None:
        with translated(self._path, self._connection):
            is_first = self._tiers.set_limits(limits)
            rows = integer(self._connection, "SELECT sum(rows) FROM segments") or 0
        if is_first and rows:
            self._notices.append(
                f"{self._path}: its rows were kept for good so far, and are now kept within limits:"
                " `kernelsight retention` shows them, `--keep forever --max-disk none` keeps everything"
            )

    def let_go(self, now_ns: int) -> Iterator[str]:
        """Let go of all that is beyond the limits, and give the space back; sentences as it goes on.

        Args:
            now_ns: the time, which the caller answers for.
        """
        with translated(self._path, self._connection):
            yield from self._upkeep.let_go(now_ns)
            if self._tiers.needs_rewriting():
                yield "the file is written anew, once, so that it can give space back from now on"
                compact(self._connection)
        yield from self._tiers.warnings()

    def retain(self, table: str, older_than_ns: int) -> int:
        """Let go of the rows of a table of events that are older; their rollups stay.

        Returns:
            how many rows went.
        """
        with translated(self._path, self._connection):
            before = self._rows(table)
            while self._retention.step(table, older_than_ns):
                pass
            return before - self._rows(table)

    def _rows(self, table: str) -> int:
        return integer(self._connection, "SELECT sum(rows) FROM segments WHERE table_name = ?", (table,)) or 0

    def keep(self, table: str, keep_ns: int | None) -> None:
        """Let :meth:`maintain` let go of a table's rows when they are older than this; None: never, as by default."""
        with translated(self._path, self._connection):
            self._retention.set_policy(table, keep_ns)

    def set_damaged_aside(self) -> None:
        """Look at all segments, and set those aside that are damaged."""
        with translated(self._path, self._connection):
            self._layout.isolate([segment for table in self._layout.kinds for segment in self._layout.of(table)])

    def count_recovered(self, rows: Mapping[str, int]) -> None:
        """Rows of lines that counted as dropped, per kind, are stored after all; those of no account are new lines."""
        with translated(self._path, self._connection), self._layout.transaction():
            count_recovered(self._connection, rows)

    def unsealed(self) -> int:
        """Indexes of full segments that are not built yet."""
        return len(self._layout.pending())

    def close(self) -> None:
        """See :class:`kernelsight.stores.base.Writer`."""
        if self._closed:
            return
        self._closed = True
        if self._twins is not None:
            self._twins.close()
        try:
            if self._left is not None:
                return
            self._checkpointer.close()
            with translated(self._path, self._connection):
                finish(self._connection)
                self._connection.close()
        finally:
            self._losses.close()
            self._lock.release()


def _name(struct: type[Event]) -> str:
    return str(struct.__struct_config__.tag)


def _per_kind(refused: Sequence[RefusedRow]) -> dict[str, int]:
    return Counter(_name(row.struct) for row in refused)


def _as_rejected(row: RefusedRow, now: int) -> Rejected:
    raw = repr(row.row).encode(errors="backslashreplace")
    return Rejected(now, _name(row.struct), row.reason, raw[:4096], len(raw))


def open_writer(url: str, *, mode: int | None = None, background: bool = False) -> SqliteWriter:
    """Open a database file for writing; its folder, the file and its tables are made where needed."""
    path = database_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
    return SqliteWriter(path, mode=mode, background=background)
