"""The whole path of bytes: decoded in reads of any size, written to a real store, each line accounted for."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import apsw

from kernelsight.events import wire
from kernelsight.events.declare import kind_of
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import DEFECT, Decoded, LineDecoder
from kernelsight.stores.base import Batch
from kernelsight.stores.sqlite.writer import SqliteWriter

_TYPES = {"INTEGER": int, "REAL": (int, float), "TEXT": str, "BOOLEAN": (bool, int)}


class WholePath:
    """One store that takes one stream after another."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "any.db"
        self._writer = SqliteWriter(self.path)
        self._accounts = Accounts()

    def take(self, reads: Iterable[bytes]) -> None:
        """Take a stream to its end, and check that each of its lines is in exactly one account."""
        accounts, data = self._accounts, b""
        before = accounts.total().lines + accounts.blank + accounts.joined - accounts.shared
        decoder = LineDecoder(accounts)
        for read in reads:
            data += read
            self._write(decoder.feed(read))
        self._write(decoder.finish())
        assert decoder.waiting_lines == 0
        lines = data.count(b"\n") + (bool(data) and not data.endswith(b"\n"))
        assert accounts.total().lines + accounts.blank + accounts.joined - accounts.shared == before + lines
        total = accounts.total()
        assert total.lines == total.stored + total.rejected
        assert total.dropped == total.in_memory == 0
        assert DEFECT not in accounts.reasons, dict(accounts.reasons)

    def _write(self, decoded: Decoded) -> None:
        if not decoded.count:
            return
        for refusal in decoded.rejected:
            assert not refusal.reason.startswith(DEFECT), (refusal.reason, refusal.raw)
        for struct, rows in decoded.events.items():
            columns = kind_of(struct).columns
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    assert value is None or isinstance(value, _TYPES[column.type]), (column.name, value)
        batch = Batch(decoded.events, decoded.rejected, self._accounts.once_stored(decoded.events))
        refused = self._writer.write(batch)
        self._accounts.stored(dict(batch.accounts), [row.struct for row in refused])

    def close(self) -> None:
        """Close the store, and check that it is sound and that its books are ours."""
        self._writer.close()
        booked = check(self.path)
        for kind, account in self._accounts.by_kind.items():
            assert booked.get(kind, 0) == account.stored


def check(path: Path) -> dict[str, int]:
    """Rows by kind of a store that must be sound, with books that are those of its rows."""
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        booked = dict(connection.execute("SELECT kind, stored FROM collectors WHERE stored > 0"))
        for kind, stored in booked.items():
            (rows,) = connection.execute(f"SELECT count(*) FROM {wire.kinds()[kind].table}").fetchone()
            assert rows == stored
    return booked
