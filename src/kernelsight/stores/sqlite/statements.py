"""What a person may run on a reader: statements that read, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection

import apsw

from kernelsight.errors import UsageError

_READING = {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE}
_WORD = re.compile(r"\w+")


def may_run(action: int, first: str | None, second: str | None, database: str | None, trigger: str | None) -> int:
    """An authorizer (sqlite.org/c3ref/set_authorizer.html) that lets a statement read.

    Virtual tables ask for the version of the data while the statement runs.
    """
    del second, database, trigger
    if action in _READING or (action == apsw.SQLITE_PRAGMA and first == "data_version"):
        return apsw.SQLITE_OK
    return apsw.SQLITE_DENY


def require_one(sql: str) -> None:
    """Refuse a text that is no whole statement, or has several.

    Raises:
        UsageError: as said.
    """
    text = sql.strip()
    if "\0" in text:
        raise UsageError("the statement has a NUL character in it; take it out")
    if not text or not apsw.complete(text.rstrip(";") + ";"):
        raise UsageError("the statement is not complete")
    # The first part that is complete is the whole: a semicolon in a text or a comment ends nothing.
    ends = [place for place, character in enumerate(text[:-1]) if character == ";"]
    if any(apsw.complete(text[: end + 1]) and text[end + 1 :].strip("; \n\t") for end in ends):
        raise UsageError("give one statement at a time")


def tables_in(sql: str, tables: Collection[str]) -> set[str]:
    """The tables that a statement may read: its words, of some names; views read others, so with one it is all.

    Names of tables are the same in any case of their letters.
    """
    words = {word.lower() for word in _WORD.findall(sql)}
    return set(tables) if any(word.startswith("v_") for word in words) else words & set(tables)
