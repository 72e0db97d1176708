"""Takes what other processes left in the inbox of the database (:mod:`kernelsight.stores.inbox`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kernelsight.errors import StoreBusyError
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import Decoded, LineDecoder
from kernelsight.stores.base import Batch, Writer, open_writer
from kernelsight.stores.inbox import waiting

_PERIOD_S = 1.0


class Inbox:
    """The inbox of one database, as its writer sees it."""

    def __init__(self, db_path: str, accounts: Accounts) -> None:
        self._db_path = db_path
        # Its lines must not be glued to half a line of the pipe.
        self._decoder = LineDecoder(accounts)
        self._taken: set[Path] = set()
        self.due_at = 0.0
        """When to look again (monotonic seconds)."""

    def take(self) -> Iterator[Decoded]:
        """What is new in it; the files stay until :meth:`committed`."""
        self.due_at = time.monotonic() + _PERIOD_S
        for path in waiting(self._db_path):
            if path not in self._taken:
                with suppress(OSError):  # it is gone, or not for us to read
                    data = path.read_bytes()
                    self._taken.add(path)
                    yield self._decoder.feed(data)
                    yield self._decoder.finish()

    def committed(self) -> None:
        """What was taken is stored: remove it."""
        for path in self._taken:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._taken = {path for path in self._taken if path.exists()}


def deliver(db_path: str) -> bool:
    """Store what waits in the inbox, where nobody else writes to the database; False: a daemon does, and will.

    Raises:
        StoreError: the store cannot be written.
    """
    if not waiting(db_path):
        return True
    try:
        writer = open_writer(db_path)
    except StoreBusyError:
        return False
    try:
        _store_all(db_path, writer)
    finally:
        writer.close()
    return True


def _store_all(db_path: str, writer: Writer) -> None:
    accounts = Accounts()
    box = Inbox(db_path, accounts)
    for decoded in box.take():
        if decoded.count:
            batch = Batch(decoded.events, decoded.rejected, accounts.once_stored(decoded.events))
            refused = writer.write(batch)
            accounts.stored(dict(batch.accounts), [row.struct for row in refused])
    box.committed()
