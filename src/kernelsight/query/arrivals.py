"""Rows by when they arrived, which is the order of their ids: what stamps cannot tell after a clock was set back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from kernelsight.query.dialect import Sql, run
from kernelsight.stores.base import Book, Reader, Refusal, Row, Value, Volume
from kernelsight.stores.damage import Damage

T = TypeVar("T")

_CLOSEST_NS = 600 * 10**9


class LaterRows:
    """A reader to which some tables begin after a row: those before it were stamped by a clock that was set since."""

    def __init__(self, reader: Reader, after: Mapping[str, int]) -> None:
        """Show of each table only the rows whose ids are greater than this; of tables not named all."""
        self._reader = reader
        self._after = after
        self.dialect = reader.dialect

    def query(self, sql: str, params: Sequence[Value] = ()) -> list[dict[str, Value]]:
        """See :class:`kernelsight.stores.base.Reader`; names of tables in the text are those of all rows."""
        return self._reader.query(sql, params)

    def statement(self, sql: str) -> tuple[Sequence[str], Iterator[Row]]:
        """See :class:`kernelsight.stores.base.Reader`; as :meth:`query`."""
        return self._reader.statement(sql)

    def objects(self, make: Callable[..., T], sql: str, params: Sequence[Value] = ()) -> list[T]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._reader.objects(make, sql, params)

    def tuples(self, sql: str, params: Sequence[Value] = ()) -> Iterator[Row]:
        """See :class:`kernelsight.stores.base.Reader`; as :meth:`query`."""
        return self._reader.tuples(sql, params)

    def relation(
        self,
        table: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        columns: Iterable[str] | None = None,
    ) -> tuple[str, tuple[Value, ...]]:
        """See :class:`kernelsight.stores.base.Reader`."""
        if table not in self._after:
            return self._reader.relation(table, start_ns, end_ns, columns)
        names = None if columns is None else list(columns)
        needed = None if names is None else [*dict.fromkeys([*names, "id"])]
        relation, params = self._reader.relation(table, start_ns, end_ns, needed)
        chosen = ", ".join(names) if names else "*"
        return f"(SELECT {chosen} FROM {relation} AS arrived WHERE id > ?)", (*params, self._after[table])

    def volume(self, table: str, start_ns: int | None = None, end_ns: int | None = None) -> Volume:
        """See :class:`kernelsight.stores.base.Reader`; at most so many."""
        return self._reader.volume(table, start_ns, end_ns)

    def by_column(self) -> Reader | None:
        """See :class:`kernelsight.stores.base.Reader`; of the same rows."""
        columns = self._reader.by_column()
        return None if columns is None else LaterRows(columns, self._after)

    def holds(self, table: str) -> bool:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._reader.holds(table)

    def bounds(self, table: str) -> tuple[int, int] | None:
        """The stamps of the row that came first and of the one that came last; see :class:`Reader`."""
        if table not in self._after:
            return self._reader.bounds(table)
        relation, params = self.relation(table, columns=["id", "timestamp"])
        stamps: list[Value] = []
        for order in ("", " DESC"):
            text = f"SELECT id, timestamp FROM {relation} AS later ORDER BY id{order} LIMIT 1"
            stamps += [
                stamp for row in run(self._reader, Sql(text, params)) if isinstance(stamp := row["timestamp"], int)
            ]
        known = [stamp for stamp in stamps if isinstance(stamp, int)]
        return (min(known), max(known)) if known else None

    def count(self, table: str) -> int:
        """See :class:`kernelsight.stores.base.Reader`."""
        if table not in self._after:
            return self._reader.count(table)
        relation, params = self.relation(table, columns=["timestamp"])
        [row] = run(self._reader, Sql(f"SELECT count(*) AS rows FROM {relation} AS later", params))
        return int(row["rows"] or 0)

    def books(self) -> Sequence[Book]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._reader.books()

    def refusals(self, limit: int) -> Sequence[Refusal]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._reader.refusals(limit)

    def damages(self, *, look_s: float = 0.0) -> Sequence[Damage]:
        """See :class:`kernelsight.stores.base.Reader`."""
        return self._reader.damages(look_s=look_s)

    def close(self) -> None:
        """See :class:`kernelsight.stores.base.Reader`."""
        self._reader.close()


def last_ids(reader: Reader, tables: Iterable[str], *, from_ns: int | None = None) -> dict[str, int]:
    """The greatest id of each table that has rows, or of those stamped from a moment on."""
    last = {}
    for table in tables:
        if not reader.holds(table):
            continue
        relation, params = reader.relation(table, from_ns, None, ["id"])
        # Not max(id): SQLite would look at every row of every segment for it.
        for row in run(reader, Sql(f"SELECT id FROM {relation} AS known ORDER BY id DESC LIMIT 1", params)):
            if isinstance(row["id"], int):
                last[table] = row["id"]
    return last


def first_stamp(reader: Reader, tables: Iterable[str]) -> int | None:
    """The first stamp of some tables; None where they are empty."""
    bounds = [span for table in tables if reader.holds(table) and (span := reader.bounds(table))]
    return min((first for first, _ in bounds), default=None)


def quiet_until(reader: Reader, tables: Iterable[str], from_ns: int, end_ns: int) -> int:
    """Up to before which moment some tables have no rows from another one on; at most ten minutes less.

    Whoever goes through a time in small steps passes over one without rows, which may be years long where the
    clock was set ahead.
    """
    known = [table for table in tables if reader.holds(table)]
    at_ns, length_ns = from_ns, _CLOSEST_NS
    while at_ns < end_ns:
        last_ns = min(at_ns + length_ns, end_ns) - 1
        if not any(_has_rows(reader, table, at_ns, last_ns) for table in known):
            at_ns, length_ns = last_ns + 1, 2 * length_ns
        elif length_ns > _CLOSEST_NS:
            length_ns = _CLOSEST_NS
        else:
            break
    return at_ns


def _has_rows(reader: Reader, table: str, start_ns: int, end_ns: int) -> bool:
    relation, params = reader.relation(table, start_ns, end_ns, ["timestamp"])
    return bool(run(reader, Sql(f"SELECT timestamp FROM {relation} AS rows LIMIT 1", params)))
