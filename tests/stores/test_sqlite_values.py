"""Plain SQL may write what the daemon may store, and is told by the name of the column what it may not."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from rows import BASE

from kernelsight.events.wire import kinds
from kernelsight.stores.base import open_reader
from kernelsight.stores.sqlite import initialise
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.views import public_view

BAD = {
    "INTEGER": ["twelve", 1.5, b"\x01", "12 apples", "1e3", 1e300, float("inf"), -(2.0**63), f"{-(2**63)}.0"],
    "BOOLEAN": ["yes", 0.5, b"\x01"],
    "REAL": ["much", b"\x01", float("inf"), "-inf"],
    "TEXT": [b"\xff\x00"],
}
GOOD = {
    "INTEGER": [
        (7, 7),
        ("7", 7),
        (" 07.0", 7),
        (7.0, 7),
        (9.2e18, 9_200_000_000_000_000_000),
        (-(2**63), -(2**63)),
        (str(-(2**63)), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (True, 1),
        (None, None),
    ],
    "REAL": [(1.5, 1.5), (2, 2.0), (-1e308, -1e308), (None, None)],
    "TEXT": [("", ""), ("a\x1b[31m\u202e", "a\x1b[31m\u202e"), (5, "5"), (None, None)],
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "k.db"
    initialise(str(path))
    return path


@pytest.mark.parametrize("table", [kind.table for kind in kinds().values()])
def test_every_column_refuses_what_it_cannot_hold_and_converts_what_it_can(database, table):
    kind = next(kind for kind in kinds().values() if kind.table == table)
    with closing(sqlite3.connect(database)) as connection:
        for column in kind.columns[1:]:
            bad = ["no such choice", b"\x01"] if column.choices else BAD[column.type]
            for value in bad:
                with pytest.raises(sqlite3.IntegrityError, match=rf"{table}\.{column.name} must be"):
                    connection.execute(f"INSERT INTO {table} (timestamp, {column.name}) VALUES (?, ?)", (BASE, value))
            good = [(choice, choice) for choice in column.choices] or GOOD.get(column.type, [(1, 1), (None, None)])
            for given, stored in good:
                connection.execute(f"INSERT INTO {table} (timestamp, {column.name}) VALUES (?, ?)", (BASE, given))
                [(found,)] = connection.execute(f"SELECT {column.name} FROM {table} ORDER BY id DESC LIMIT 1")
                assert found == stored
                assert type(found) is type(stored) or isinstance(given, bool)
        for value in ("now", None, 1.5, b"\x01"):
            with pytest.raises(sqlite3.IntegrityError, match=rf"{table}\.timestamp must be an integer"):
                connection.execute(f"INSERT INTO {table} (timestamp) VALUES (?)", (value,))
        before = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        with pytest.raises(sqlite3.IntegrityError, match=rf"{table}\.timestamp"):
            connection.execute(f"UPDATE {table} SET timestamp = 'yesterday'")
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == before
        connection.commit()


def test_a_plain_table_that_is_taken_over_keeps_the_rows_that_cannot_be(tmp_path):
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE load_metrics (timestamp, load_1min, total_processes)")
        rows = [(BASE, 0.5, 100), (BASE + 1, "high", 100), (BASE + 2, 0.7, "many"), (None, 1.0, 1), (BASE + 3, 1, "7")]
        connection.executemany("INSERT INTO load_metrics VALUES (?, ?, ?)", rows)
        connection.commit()
    initialise(str(path))
    with closing(open_reader(str(path))) as reader:
        taken = reader.query("SELECT timestamp, load_1min, total_processes FROM load_metrics ORDER BY timestamp")
        left = reader.query("SELECT count(*) AS n FROM load_metrics_before")
    assert [tuple(row.values()) for row in taken] == [(BASE, 0.5, 100), (BASE + 3, 1.0, 7)]
    assert left == [{"n": 5}]


def test_the_schema_that_every_program_parses_when_it_opens_the_database_is_short(database):
    with closing(sqlite3.connect(database)) as connection:
        [(length,)] = connection.execute("SELECT sum(length(sql)) FROM sqlite_master")
    columns = sum(len(kind.columns) for kind in kinds().values())
    assert length < 400 * columns, f"{length / columns:.0f} characters a column"


def test_a_segment_more_adds_no_more_to_a_table_of_many_columns_than_to_one_of_few():
    """A database of a month has 30 segments a table."""
    views = {}
    for kind in kinds().values():
        before, after = (_length_of_views(kind, count) for count in (2, 3))
        views[kind.table] = after - before
    assert max(views.values()) < min(views.values()) + 9 * (max(map(len, views)) - min(map(len, views))) + 1


def _length_of_views(kind, count):
    columns = ["id", *kind.column_names]
    segments = [Segment(kind.table, number, number, 0, number, full=number < count) for number in range(1, count + 1)]
    made = public_view(kind, segments, {segment.name: columns for segment in segments})
    return sum(len(statement) for statements in made.values() for statement in statements)
