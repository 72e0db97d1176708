"""SQLite: the default store, one file, no server."""

from kernelsight.stores.sqlite.deriver import SqliteDeriver, open_deriver
from kernelsight.stores.sqlite.reader import SqliteReader, open_reader
from kernelsight.stores.sqlite.store import SqliteStore
from kernelsight.stores.sqlite.writer import SqliteWriter, open_writer

STORE = SqliteStore


def initialise(url: str) -> None:
    """Make the database and its tables, or migrate them."""
    open_writer(url).close()


__all__ = [
    "STORE",
    "SqliteDeriver",
    "SqliteReader",
    "SqliteStore",
    "SqliteWriter",
    "initialise",
    "open_deriver",
    "open_reader",
    "open_writer",
]
