"""The public names: views over segments that can be read, inserted into, deleted from and updated by any SQLite client.

Triggers keep the books of :mod:`kernelsight.stores.sqlite.segments` as exactly as the writer does,
so that a statement typed into ``sqlite3`` leaves the store whole. They use nothing newer than
SQLite 3.25.

SQLite parses all of this whenever a program opens the database, so it is short: what all tables have in common is
said once (:data:`BOOKS_OF_CHANGES`), values are checked in one trigger a table, and a segment's columns are not listed
(``docs/decisions/values-are-checked-once.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernelsight.events.declare import Kind
from kernelsight.stores.sqlite.checks import literal, refuse_bad_values, refuse_missing_values
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.segments import FUTURE_TOLERANCE_NS, Segment

CHANGES = "segments__changes"

_HOT = "NOT full AND damage IS NULL"

BOOKS_OF_CHANGES = (
    f"""CREATE VIEW {CHANGES} AS
SELECT table_name, last_id AS id, first_timestamp AS before, last_timestamp AS after FROM segments""",
    f"""CREATE TRIGGER {CHANGES} INSTEAD OF INSERT ON {CHANGES} BEGIN
  UPDATE segments SET rows = rows + 1, last_id = max(coalesce(last_id, first_id - 1) + 1,
    min(CAST(coalesce(NEW.id, NEW.after) AS INT), strftime('%s', 'now') * 1000000000 + {FUTURE_TOLERANCE_NS}))
  WHERE NEW.before IS NULL AND NEW.after IS NOT NULL AND table_name = NEW.table_name AND {_HOT};
  UPDATE segments SET first_timestamp = min(coalesce(first_timestamp, NEW.after), NEW.after),
    last_timestamp = max(coalesce(last_timestamp, NEW.after), NEW.after),
    late_ns = max(late_ns, last_id - NEW.after), early_ns = max(early_ns, NEW.after - last_id)
  WHERE NEW.before IS NULL AND NEW.after IS NOT NULL AND table_name = NEW.table_name AND {_HOT};
  UPDATE segments SET edits = edits + 1
  WHERE NEW.before IS NOT NULL AND table_name = NEW.table_name AND NEW.id BETWEEN first_id AND last_id;
  UPDATE segments SET rows = rows - 1, stale = stale OR NEW.before IN (first_timestamp, last_timestamp)
  WHERE NEW.before IS NOT NULL AND NEW.after IS NULL
    AND table_name = NEW.table_name AND NEW.id BETWEEN first_id AND last_id;
  UPDATE segments SET stale = 1, first_timestamp = min(first_timestamp, NEW.after),
    last_timestamp = max(last_timestamp, NEW.after),
    late_ns = max(late_ns, NEW.id - NEW.after), early_ns = max(early_ns, NEW.after - NEW.id)
  WHERE NEW.before <> NEW.after AND table_name = NEW.table_name AND NEW.id BETWEEN first_id AND last_id;
END""",
)
"""The books of a row of any table: inserted (``before`` is NULL), deleted (``after`` is NULL) or with a new stamp.

An inserted row gets its id here, as ``last_id`` of the hot segment, by the same rule as in
:func:`kernelsight.stores.sqlite.place.place`. One that brings an id, as from another store of ours, keeps it where that
is free.
"""


def checked_name(kind: Kind) -> str:
    """The view through which a row goes into the hot segment once its values are checked."""
    return f"{kind.table}__checked"


def public_view(kind: Kind, segments: Sequence[Segment], columns: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The view over these segments (oldest first, the hot one last), and the one that checks what goes into them.

    Args:
        kind: what is declared.
        segments: the segments; the hot one has the columns that are declared, in their order.
        columns: the columns of each segment, as they are stored.

    Returns:
        view → the statements that make it and its triggers.
    """
    declared = ["id", *kind.column_names]
    regular = {segment.name for segment in segments if list(columns[segment.name]) == declared}
    values = ", ".join(f"NEW.{quote(name)}" for name in kind.column_names)
    hot, checked = segments[-1], checked_name(kind)
    return {
        checked: [
            f"CREATE VIEW {quote(checked)} AS SELECT * FROM {quote(hot.name)}",
            _on_checked(kind, hot, values),
        ],
        kind.table: [
            _view(kind, segments, regular),
            _on_insert(kind, hot, values),
            _on_delete(kind, segments),
            _on_update(kind, segments, regular, values),
        ],
    }


def _view(kind: Kind, segments: Sequence[Segment], regular: set[str]) -> str:
    names = quoted(("id", *kind.column_names))
    arms = "\nUNION ALL ".join(
        f"SELECT {'*' if segment.name in regular else names} FROM {quote(segment.name)}" for segment in segments
    )
    return f"CREATE VIEW {quote(kind.table)} AS\n{arms}"


def _trigger(name: str, event: str, view: str, body: str) -> str:
    return f"CREATE TRIGGER {quote(name)} INSTEAD OF {event} ON {quote(view)} BEGIN\n{body}\nEND"


def _on_checked(kind: Kind, hot: Segment, values: str) -> str:
    """Insert into the hot segment, and look at what became of the values there."""
    body = f"""{refuse_missing_values(kind)}  INSERT INTO {quote(hot.name)} VALUES (NEW.id, {values});
{refuse_bad_values(kind, hot.name)}"""
    return _trigger(checked_name(kind), "INSERT", checked_name(kind), body)


def _on_insert(kind: Kind, hot: Segment, values: str) -> str:
    """Insert into the hot segment, under the id that the books give."""
    body = f"""  INSERT INTO {CHANGES} VALUES ({literal(kind.table)}, NEW.id, NULL, CAST(NEW.timestamp AS INT));
  INSERT INTO {quote(checked_name(kind))} SELECT last_id, {values}
  FROM segments WHERE table_name = {literal(kind.table)} AND number = {hot.number};"""
    return _trigger(f"{kind.table}_insert", "INSERT", kind.table, body)


def _on_delete(kind: Kind, segments: Sequence[Segment]) -> str:
    """Delete by id from the one segment whose range of ids has it; the others cost two comparisons."""
    body = f"{_deletions(segments)}  INSERT INTO {CHANGES} VALUES ({literal(kind.table)}, OLD.id, OLD.timestamp, NULL);"
    return _trigger(f"{kind.table}_delete", "DELETE", kind.table, body)


def _on_update(kind: Kind, segments: Sequence[Segment], regular: set[str], values: str) -> str:
    """Update, keeping the id: the row goes through the hot segment, where it is checked, back into its own.

    A segment whose columns are not as they are declared, as an older version made them, is updated in place.
    A changed stamp makes the bounds stale and the row late or early.
    """
    *sealed, hot = segments
    back = "".join(
        f"  INSERT INTO {quote(segment.name)} SELECT * FROM {quote(hot.name)} WHERE id = OLD.id AND {_owns(segment)};\n"
        if segment.name in regular
        else f"  UPDATE {quote(segment.name)} SET {_assignments(kind)} WHERE id = OLD.id AND {_owns(segment)};\n"
        for segment in sealed
        if _has_ids(segment)
    )
    if back:
        back += f"  DELETE FROM {quote(hot.name)} WHERE id = OLD.id AND OLD.id < {hot.first_id};\n"
    body = f"""{_deletions([segment for segment in segments if segment.name in regular])}\
  INSERT INTO {quote(checked_name(kind))} VALUES (OLD.id, {values});
{back}  INSERT INTO {CHANGES} VALUES ({literal(kind.table)}, OLD.id, OLD.timestamp, CAST(NEW.timestamp AS INT));"""
    return _trigger(f"{kind.table}_update", "UPDATE", kind.table, body)


def _assignments(kind: Kind) -> str:
    return ", ".join(f"{quote(name)} = NEW.{quote(name)}" for name in kind.column_names)


def _deletions(segments: Sequence[Segment]) -> str:
    return "".join(
        f"  DELETE FROM {quote(segment.name)} WHERE id = OLD.id AND {_owns(segment)};\n"
        for segment in segments
        if _has_ids(segment)
    )


def _has_ids(segment: Segment) -> bool:
    return not segment.full or segment.last_id is not None


def _owns(segment: Segment) -> str:
    upper = f" AND OLD.id <= {segment.last_id}" if segment.full and segment.last_id is not None else ""
    return f"OLD.id >= {segment.first_id}{upper}"
