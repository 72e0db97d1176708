"""Takes the events that other processes left in the inbox of the store (:mod:`kernelsight.stores.inbox`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import Decoded, LineDecoder, defect_in
from kernelsight.ingest.identify import UNKNOWN
from kernelsight.stores.base import Batch, Rejected, Writer, open_writer, store
from kernelsight.stores.inbox import Inbox, UnfitFileError
from kernelsight.trusted_paths import UntrustedPathError, as_owner_of

_PERIOD_S = 1.0
_LARGEST_FILE = 16 << 20
"""What other processes leave are records of what they did: kilobytes."""

_MOST_TRIES = 3
"""A writer may be killed for another reason while it takes a file; hardly three times."""

_TRIES = "tries"


class Deliveries:
    """What is left in one inbox, as the writer of its store takes it."""

    def __init__(
        self, inbox: Inbox, accounts: Accounts, decoder: Callable[[Accounts], LineDecoder] = LineDecoder
    ) -> None:
        self._inbox = inbox
        self._accounts = accounts
        # Its lines must not be glued to half a line of the pipe.
        self._decoder = decoder
        self._taken: set[Path] = set()
        self._stuck: set[Path] = set()
        self._refused: set[str] = set()
        self._tries = _Tries(inbox.folder / _TRIES)
        self.due_at = 0.0
        """When to look again (monotonic seconds)."""

    def take(self) -> Iterator[Decoded]:
        """What is new in it; the files stay until :meth:`committed`, but for those that are set aside."""
        self.due_at = time.monotonic() + _PERIOD_S
        try:
            paths = self._inbox.waiting()
        except UntrustedPathError as error:
            if str(error) not in self._refused:
                self._refused.add(str(error))
                yield self._refuse(f"the inbox is not read: {error}", b"")
            return
        for path in paths:
            if path not in self._taken and path not in self._stuck:
                with suppress(OSError):  # it is gone, or not for us to read
                    yield from self._take(path)

    def _take(self, path: Path) -> list[Decoded]:
        self._taken.add(path)
        try:
            data = self._inbox.read(path, _LARGEST_FILE)
            self._tries.begin(path.name)
            decoder = self._decoder(self._accounts)
            return [decoder.feed(data), decoder.finish()]
        except OSError:
            self._taken.discard(path)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a file does to the decoder, the daemon and the other files go on
            return [self._set_aside(path, error)]

    def _set_aside(self, path: Path, error: Exception) -> Decoded:
        reason = str(error) if isinstance(error, UnfitFileError) else defect_in(error)
        try:
            self._inbox.set_aside(path, reason)
        except (OSError, UntrustedPathError) as failure:
            reason = f"{reason}; it stays there: {getattr(failure, 'strerror', failure)}"
            self._stuck.add(path)
        self._taken.discard(path)
        return self._refuse(f"inbox file set aside: {reason}", os.fsencode(path.name))

    def _refuse(self, text: str, raw: bytes) -> Decoded:
        self._accounts.refused(UNKNOWN, text)
        return Decoded(rejected=[Rejected(time.time_ns(), UNKNOWN, text, raw, 0)], count=1)

    def committed(self) -> None:
        """What was taken is stored: remove it."""
        for path in self._taken:
            with suppress(OSError, UntrustedPathError):
                self._inbox.remove(path)
        self._taken = {path for path in self._taken if os.path.lexists(path)}
        self._tries.forget()

    def given_up(self) -> None:
        """What was taken cannot be stored now: the files stay, and that is not their fault."""
        self._taken.clear()
        self._tries.forget()


class _Tries:
    """How often each file was begun without being committed, kept beside them for the next writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] | None = None

    def begin(self, name: str) -> None:
        """Count one more try of a file, on disk before this returns.

        Raises:
            UnfitFileError: there were too many.
        """
        if self._counts is None:
            self._counts = _counts(self._path)
        tries = self._counts.get(name, 0)
        if tries >= _MOST_TRIES:
            raise UnfitFileError(f"{tries} writers ended while they took it")
        self._counts[name] = tries + 1
        lines = "".join(f"{count} {file}\n" for file, count in self._counts.items())
        with suppress(OSError):  # a full disk; then it is not counted
            self._path.write_text(lines, encoding="utf-8", errors="surrogateescape")

    def forget(self) -> None:
        """All files that were begun are committed."""
        if self._counts:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._counts = {}


def _counts(path: Path) -> dict[str, int]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return {}
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: int(count) for count, _, name in pairs if name and count.isascii() and count.isdigit()}


def deliver(db_path: str) -> bool:
    """Store what waits in the inbox, where nobody else writes to the database; False: a daemon does, and will.

    Raises:
        StoreError: the store cannot be written, or others may write to its inbox.
    """
    inbox = store(db_path).inbox
    try:
        return inbox is None or _deliver(inbox, db_path)
    except UntrustedPathError as error:
        raise StoreError(f"the inbox is not read: {error}") from error


def _deliver(inbox: Inbox, db_path: str) -> bool:
    with as_owner_of(inbox.folder.parent):
        if not inbox.waiting():
            return True
        try:
            writer = open_writer(db_path)
        except StoreBusyError:
            return False
        try:
            _store_all(inbox, writer)
        finally:
            writer.close()
    return True


def _store_all(inbox: Inbox, writer: Writer) -> None:
    accounts = Accounts()
    deliveries = Deliveries(inbox, accounts)
    for decoded in deliveries.take():
        if decoded.count:
            batch = Batch(decoded.events, decoded.rejected, accounts.once_stored(decoded.events))
            refused = writer.write(batch)
            accounts.stored(dict(batch.accounts), [row.struct for row in refused])
    deliveries.committed()
