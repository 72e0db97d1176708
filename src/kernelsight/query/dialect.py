"""SQL with its values. Where the SQL of stores differs, the reader's dialect says it (`stores/dialect.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from kernelsight.stores.base import Reader, Value


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values of its ``?``, in order.

    The text is made of names from the events' declarations only; whatever a person gives is a value.
    """

    text: str
    params: tuple[Value, ...] = ()


def run(reader: Reader, sql: Sql) -> list[dict[str, Value]]:
    """Run a finished piece of SQL."""
    return reader.query(sql.text, sql.params)
