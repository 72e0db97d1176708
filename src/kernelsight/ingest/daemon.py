"""The ingestion daemon: reads lines, commits batches, keeps the books, and never stops for bad input."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from typing import TextIO

from kernelsight import service_manager
from kernelsight.errors import StoreBusyError, StoreError, StoreLostError
from kernelsight.events.declare import kind_of
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.batch import LARGEST_BATCH_BYTES, Waiting
from kernelsight.ingest.decode import Decoded, LineDecoder
from kernelsight.ingest.deliveries import Deliveries
from kernelsight.ingest.interrupts import Interrupts
from kernelsight.ingest.log import Log
from kernelsight.ingest.settings import Settings
from kernelsight.ingest.source import READ_BYTES, InputStream
from kernelsight.ingest.status import Commits, Rate, as_json, describe, write_status
from kernelsight.stores.base import RefusedRow, Writer, open_writer, store

__all__ = ["Settings", "init", "run"]

_LONGEST_GATHERING_S = 0.05
"""How long a due batch still grows while there is more to read."""

_TRICKLE_BYTES = 4096
_TRICKLE_PAUSE_S = 0.002
"""After a small read, so that a collector that writes line by line does not wake us for every line."""

_STATUS_PERIOD_S = 1.0
_MAINTAIN_PERIOD_S = 1.0
_CHECK_PERIOD_S = 1.0
_MAINTAIN_BUDGET_S = 0.1
_LONGEST_RETRY_S = 5.0
_UNFINISHED_LINE_S = 0.2

_PATIENCE_S = 1.0
"""For a writer that is about to end; another daemon does not."""

_GC_THRESHOLD = 50_000
"""Rows are tuples: with the usual threshold of 700 the collector would look for cycles in them all the
time, at a third of the cost of decoding."""


def init(db_path: str, mode: int | None = None) -> None:
    """Make the store and its tables, or migrate them.

    Args:
        db_path: the store, a file or a URL.
        mode: permissions of a database that is made; the store's choice by default.

    Raises:
        StoreError: it cannot be opened.
    """
    open_writer(db_path, mode=mode).close()


def run(source: int, db_path: str, settings: Settings, log: TextIO) -> int:
    """Ingest until the input ends or SIGTERM or SIGINT comes; then everything read is committed.

    Args:
        source: file descriptor to read lines from.
        db_path: the store, a file or a URL.
        settings: see :class:`Settings`.
        log: where messages for a person go.

    Returns:
        the exit code: 0, or 1 when something that was read could not be stored.

    Raises:
        StoreError: the store cannot be opened.
    """
    writer = _writer(db_path, settings.mode)
    threshold = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, *threshold[1:])
    try:
        if settings.limits is not None:
            writer.set_limits(settings.limits)
        with Interrupts() as interrupts:
            reading = InputStream(source, interrupts.fd)
            return Daemon(reading, interrupts, writer, db_path=db_path, settings=settings, log=log).run()
    finally:
        gc.set_threshold(*threshold)
        writer.close()


def _writer(db_path: str, mode: int | None) -> Writer:
    """The right to write, waited for a moment: who leaves records while no daemon runs stores them itself."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return open_writer(db_path, mode=mode, background=True)
        except StoreBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Daemon:
    """One run of the daemon."""

    def __init__(  # noqa: PLR0913 - what it works with is handed in
        self,
        source: InputStream,
        interrupts: Interrupts,
        writer: Writer,
        *,
        db_path: str,
        settings: Settings,
        log: TextIO,
    ) -> None:
        self._source = source
        self._interrupts = interrupts
        self._writer = writer
        self._settings = settings
        self._log = Log(log, verbose=settings.verbose)
        self._accounts = Accounts(before=writer.accounts(), complete_since_ns=settings.complete_since_ns)
        self._decoder = LineDecoder(self._accounts)
        self._store = store(db_path)
        inbox = self._store.inbox
        self._deliveries = Deliveries(inbox, self._accounts) if inbox else None
        self._waiting = Waiting(settings, self._accounts)
        self._commits = Commits()
        self._events_rate, self._rows_rate = Rate(), Rate()
        self._started_ns, self._started = time.time_ns(), time.monotonic()
        self._status_at = self._maintain_at = self._started
        self._maintained_rows = 0
        self._retry_at = 0.0
        self._failing = 0
        self._full_since: float | None = None
        self._exit_code = 0
        self._must_begin = False
        self._check_at = self._started
        self._told_lost = 0

    def run(self) -> int:
        """Ingest until the end; the exit code."""
        self._tell_notices()
        while not self._interrupts.stops:
            service_manager.alive()
            if not self._step():
                break
        else:
            self._drain()
        self._flush()
        self._log.summarise(final=True)
        total = self._accounts.total()
        if not self._settings.brief or total.lines != total.stored:
            self._tell()
        if self._settings.status_path:
            self._write_status(done=True)
        self._log.end()
        return self._exit_code

    def _step(self) -> bool:
        """Wait for something and do what it asks for; False when the input has ended."""
        if self._waiting.is_full():
            self._hold_back()
            return True
        self._full_since = None
        if self._source.wait(self._seconds_to_wait()) and not self._read_all_there_is():
            return False
        if self._may_commit():
            self._commit()
        self._housekeeping()
        return True

    def _seconds_to_wait(self) -> float:
        """Until something is due."""
        due = [self._check_at + _CHECK_PERIOD_S]
        if self._deliveries:
            due.append(self._deliveries.due_at)
        if self._settings.status_path:
            due.append(self._status_at + _STATUS_PERIOD_S)
        if self._waiting.due_at is not None:
            due.append(max(self._waiting.due_at, self._retry_at))
        if self._maintained_rows < self._commits.rows:
            due.append(self._maintain_at + _MAINTAIN_PERIOD_S)
        return max(0.0, min(due) - time.monotonic())

    def _read_all_there_is(self) -> bool:
        """Read until a batch is due and has taken what has arrived by then; False at the end of the input."""
        began = time.monotonic()
        while True:
            try:
                data = self._source.read()
            except OSError as error:
                self._log.say(f"the input can no longer be read: {error}")
                self._exit_code = 1
                return False
            if data is None:
                return True
            if not data:
                return False
            self._take(self._decoder.feed(data))
            if self._waiting.size >= LARGEST_BATCH_BYTES or time.monotonic() - began > _LONGEST_GATHERING_S:
                return True
            if len(data) < _TRICKLE_BYTES and not self._waiting.is_due():
                self._source.pause(_TRICKLE_PAUSE_S)
            if not self._source.wait(0):
                return True

    def _take(self, decoded: Decoded) -> None:
        for line in decoded.rejected:
            self._log.refused(line.kind, line.reason, line.raw)
        rows = sum(map(len, decoded.events.values()))
        self._log.more_refused(decoded.count - rows - len(decoded.rejected))
        self._waiting.add(decoded)
        self._tell_lost()

    def _tell_lost(self) -> None:
        total = self._accounts.never_came.total()
        if total > self._told_lost:
            self._log.say(
                f"lost {total - self._told_lost:,} lines in the memory of a daemon that was killed; "
                "they count as dropped"
            )
            self._told_lost = total

    # --- committing ---------------------------------------------------------------------------------

    def _may_commit(self) -> bool:
        return self._waiting.is_due() and time.monotonic() >= self._retry_at

    def _commit(self) -> bool:
        """Commit what waits; False when the store cannot be written, and it goes on waiting."""
        waiting, batch = self._waiting, self._waiting.batch()
        began = time.monotonic()
        try:
            refused = self._writer.write(batch)
        except StoreLostError as error:
            self._begin_anew(error)
            return False
        except StoreError as error:
            self._commits.failures += 1
            self._commits.last_error = str(error)
            delay = min(_LONGEST_RETRY_S, max(0.1, self._settings.batch_timeout_s) * 2 ** min(self._failing, 8))
            self._failing += 1
            self._retry_at = time.monotonic() + delay
            self._log.say(f"{waiting.count:,} events wait; the store is tried again in {delay:.1f} s: {error}")
            self._note_losses()
            return False
        finally:
            self._tell_notices()
        ended = time.monotonic()
        self._failing, self._retry_at, self._must_begin = 0, 0.0, False
        self._accounts.stored(dict(batch.accounts), [row.struct for row in refused])
        self._tell_refused(refused)
        rows = sum(map(len, batch.events.values())) - len(refused)
        self._commits.done(rows, ended - began)
        if self._settings.verbose:
            self._log.debug(
                f"committed {rows} events in {(ended - began) * 1e3:.2f} ms, {(ended - waiting.since) * 1e3:.2f} ms"
                f" after the first of them arrived; {self._commits.rows} stored"
            )
        waiting.clear()
        if self._deliveries:
            self._deliveries.committed()
        return True

    def _begin_anew(self, error: StoreLostError) -> None:
        """The store is gone with what this run had stored: say it, and have a new one begun."""
        rows = self._accounts.lost_with_store()
        self._exit_code = 1
        self._must_begin, self._retry_at = True, 0.0
        self._log.say(f"{error}; {rows:,} rows that this run had stored count as dropped")
        self._note_losses()

    def _is_still_there(self) -> bool:
        """Whether what was committed is where readers look for it; False when a new store is to be begun."""
        try:
            self._writer.check()
        except StoreLostError as error:
            self._begin_anew(error)
            return False
        except StoreError as error:
            self._log.warn(f"the store cannot be looked at: {error}")
        return True

    def _note_losses(self) -> None:
        """Whatever happens next, the next writer books what the store could not be told."""
        try:
            self._writer.note_losses(self._accounts.by_kind)
        except StoreError as error:
            self._log.say(str(error))

    def _tell_notices(self) -> None:
        for notice in self._writer.notices():
            self._log.say(notice)

    def _tell_refused(self, refused: Sequence[RefusedRow]) -> None:
        for row in refused:
            self._log.refused(kind_of(row.struct).name, f"refused by the store: {row.reason}", repr(row.row).encode())

    def _hold_back(self) -> None:
        """The buffer is full: read nothing until the store takes it, and give up the oldest if that lasts."""
        now = time.monotonic()
        if self._full_since is None:
            self._full_since = now
            self._log.say("the buffer is full: the input is held back until the store can be written")
        if now >= self._retry_at and self._commit():
            return
        if now - self._full_since >= self._settings.patience_s:
            dropped = self._waiting.give_up_oldest()
            self._note_losses()
            self._log.say(f"dropped the {dropped:,} oldest events that waited: the store cannot be written")
            return
        until = min(self._retry_at, self._full_since + self._settings.patience_s)
        self._source.pause(min(_STATUS_PERIOD_S, max(0.0, until - time.monotonic())))
        self._housekeeping()

    # --- the end ------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """After a signal: what is in the pipe was sent and is taken, to the end of its last line."""
        left = self._source.in_flight()
        deadline = time.monotonic() + _UNFINISHED_LINE_S
        while left > 0 or (self._decoder.inside_line and time.monotonic() < deadline and self._interrupts.stops < 2):
            if not self._source.wait(max(0.0, deadline - time.monotonic())):
                return
            data = self._source.read(max(1, min(READ_BYTES, left)))
            if not data:
                return
            left -= len(data)
            self._take(self._decoder.feed(data))
            if self._waiting.size >= LARGEST_BATCH_BYTES and self._may_commit():
                self._commit()

    def _flush(self) -> None:
        """Commit everything; give up what the store will not take in the time that patience allows."""
        self._take(self._decoder.finish())
        self._take_deliveries()
        deadline = time.monotonic() + self._settings.patience_s
        stops = max(1, self._interrupts.stops)
        while (self._waiting.count or self._must_begin or not self._is_still_there()) and not self._committed_all():
            if time.monotonic() >= deadline or self._interrupts.stops > stops:
                self._give_up_all()
                return
            self._source.pause(max(0.0, min(self._retry_at, deadline) - time.monotonic()))
            self._interrupts.quiet()

    def _committed_all(self) -> bool:
        """Commit what waits; whether it is stored, and still there."""
        return self._commit() and self._is_still_there()

    def _give_up_all(self) -> None:
        count = self._waiting.count
        for struct, rows in self._waiting.events.items():
            self._accounts.dropped(struct, len(rows))
        self._waiting.clear()
        self._note_losses()
        if self._deliveries:
            self._deliveries.given_up()
        self._exit_code = 1
        self._log.say(f"dropped {count:,} events that the store could not take: {self._commits.last_error}")

    # --- now and then -------------------------------------------------------------------------------

    def _housekeeping(self) -> None:
        self._interrupts.quiet()
        if self._interrupts.take_status_request():
            self._tell()
        now = time.monotonic()
        if self._settings.status_path and now - self._status_at >= _STATUS_PERIOD_S:
            self._status_at = now
            self._write_status(done=False)
        if self._maintained_rows < self._commits.rows and now - self._maintain_at >= _MAINTAIN_PERIOD_S:
            self._maintain()
        if now - self._check_at >= _CHECK_PERIOD_S:
            self._check_at = now
            if (self._must_begin or not self._is_still_there()) and now >= self._retry_at:
                self._commit()
        if self._deliveries and now >= self._deliveries.due_at:
            self._take_deliveries()
        self._log.summarise()

    def _take_deliveries(self) -> None:
        for decoded in self._deliveries.take() if self._deliveries else ():
            self._take(decoded)

    def _maintain(self) -> None:
        self._maintained_rows = self._commits.rows
        try:
            for warning in self._writer.maintain(budget_s=_MAINTAIN_BUDGET_S):
                self._log.warn(warning)
            self._tell_notices()
        except StoreLostError as error:
            self._begin_anew(error)
        except StoreError as error:
            self._log.say(f"upkeep of the store failed and is tried again later: {error}")
        self._maintain_at = time.monotonic()

    def _tell(self) -> None:
        elapsed = time.monotonic() - self._started
        waiting_lines = self._decoder.waiting_lines
        self._log.say(describe(self._accounts, self._commits, elapsed, waiting_lines, verbose=self._settings.verbose))

    def _write_status(self, *, done: bool) -> None:
        path = self._settings.status_path
        assert path is not None
        status = as_json(
            self._accounts,
            self._commits,
            started_ns=self._started_ns,
            events_per_s=self._events_rate.since_last(self._accounts.total().lines),
            rows_per_s=self._rows_rate.since_last(self._commits.rows),
            db_bytes=self._store.size_bytes() or 0,
            last_refusals=list(self._log.last_reasons),
            waiting_lines=self._decoder.waiting_lines,
            done=done,
        )
        try:
            write_status(path, status)
        except OSError as error:
            self._log.debug(f"{path}: the status cannot be written: {error}")
