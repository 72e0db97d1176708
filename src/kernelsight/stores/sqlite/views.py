"""The public names: views over segments that can be read, inserted into, deleted from and updated by any SQLite client.

Triggers keep the books of :mod:`kernelsight.stores.sqlite.segments` as exactly as the writer does,
so that a statement typed into ``sqlite3`` leaves the store whole. They use nothing newer than
SQLite 3.25.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.events.declare import Kind
from kernelsight.stores.sqlite.checks import literal, refuse_bad_values
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.segments import FUTURE_TOLERANCE_NS, Segment


def public_view(kind: Kind, segments: Sequence[Segment]) -> list[str]:
    """Statements that put the view and its triggers over these segments (oldest first, the hot one last)."""
    checks = refuse_bad_values(kind)
    return [
        f"DROP VIEW IF EXISTS {quote(kind.table)}",
        _view(kind, segments),
        _on_insert(kind, segments[-1], checks),
        _on_delete(kind, segments),
        _on_update(kind, segments, checks),
    ]


def _view(kind: Kind, segments: Sequence[Segment]) -> str:
    names = quoted(("id", *kind.column_names))
    arms = "\nUNION ALL ".join(f"SELECT {names} FROM {quote(segment.name)}" for segment in segments)
    return f"CREATE VIEW {quote(kind.table)} AS\n{arms}"


def _on_insert(kind: Kind, hot: Segment, checks: str) -> str:
    """Insert into the hot segment by the same rule for ids as :func:`kernelsight.stores.sqlite.place.place`.

    A row that brings an id, as from another store of ours, keeps it where that is free.
    """
    books = _books(kind, hot.number)
    future = f"(strftime('%s', 'now') * 1000000000 + {FUTURE_TOLERANCE_NS})"
    next_id = f"(SELECT coalesce(last_id, first_id - 1) + 1 FROM segments WHERE {books})"
    values = ", ".join(f"NEW.{quote(name)}" for name in kind.column_names)
    return f"""CREATE TRIGGER {quote(kind.table + "_insert")} INSTEAD OF INSERT ON {quote(kind.table)} BEGIN
{checks}
  INSERT INTO {quote(hot.name)} ({quoted(("id", *kind.column_names))})
  VALUES (max({next_id}, min(coalesce(NEW.id, NEW.timestamp), {future})), {values});
  UPDATE segments SET rows = rows + 1, last_id = last_insert_rowid(),
    first_timestamp = min(coalesce(first_timestamp, NEW.timestamp), NEW.timestamp),
    last_timestamp = max(coalesce(last_timestamp, NEW.timestamp), NEW.timestamp),
    late_ns = max(late_ns, last_insert_rowid() - NEW.timestamp),
    early_ns = max(early_ns, NEW.timestamp - last_insert_rowid())
  WHERE {books};
END"""


def _on_delete(kind: Kind, segments: Sequence[Segment]) -> str:
    """Delete by id from the one segment whose range of ids has it; the others cost two comparisons."""
    steps = "\n".join(
        f"""  DELETE FROM {quote(segment.name)} WHERE id = OLD.id AND {_owns(segment)};
  UPDATE segments SET rows = rows - 1, stale = stale OR OLD.timestamp IN (first_timestamp, last_timestamp)
  WHERE {_books(kind, segment.number)} AND {_owns(segment)};"""
        for segment in segments
        if _has_ids(segment)
    )
    return (
        f"CREATE TRIGGER {quote(kind.table + '_delete')} INSTEAD OF DELETE ON {quote(kind.table)} BEGIN\n{steps}\nEND"
    )


def _on_update(kind: Kind, segments: Sequence[Segment], checks: str) -> str:
    """Update in place; the id stays. A changed stamp makes the bounds stale and the row late or early."""
    values = ", ".join(f"{quote(name)} = NEW.{quote(name)}" for name in kind.column_names)
    steps = "\n".join(
        f"""  UPDATE {quote(segment.name)} SET {values} WHERE id = OLD.id AND {_owns(segment)};
  UPDATE segments SET stale = 1, first_timestamp = min(first_timestamp, NEW.timestamp),
    last_timestamp = max(last_timestamp, NEW.timestamp),
    late_ns = max(late_ns, OLD.id - NEW.timestamp), early_ns = max(early_ns, NEW.timestamp - OLD.id)
  WHERE {_books(kind, segment.number)} AND {_owns(segment)} AND NEW.timestamp <> OLD.timestamp;"""
        for segment in segments
        if _has_ids(segment)
    )
    body = f"{checks}\n{steps}"
    return f"CREATE TRIGGER {quote(kind.table + '_update')} INSTEAD OF UPDATE ON {quote(kind.table)} BEGIN\n{body}\nEND"


def _books(kind: Kind, number: int) -> str:
    return f"table_name = {literal(kind.table)} AND number = {number}"


def _has_ids(segment: Segment) -> bool:
    return not segment.full or segment.last_id is not None


def _owns(segment: Segment) -> str:
    upper = f" AND OLD.id <= {segment.last_id}" if segment.full and segment.last_id is not None else ""
    return f"OLD.id >= {segment.first_id}{upper}"
