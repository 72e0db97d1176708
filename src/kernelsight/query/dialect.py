"""Where the SQL of the stores differs. Everything else in this package is written in what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kernelsight.errors import StoreError
from kernelsight.stores.base import Reader, Value


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values of its ``?``, in order.

    The text is made of names from the events' declarations only; whatever a person gives is a value.
    """

    text: str
    params: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """The expressions that each store writes in its own way."""

    name: Literal["sqlite", "clickhouse"]

    def int_div(self, dividend: str, divisor: str) -> str:
        """Whole part of a quotient of two integers."""
        return f"({dividend}) / ({divisor})" if self.name == "sqlite" else f"intDiv({dividend}, {divisor})"

    def lag(self, column: str, partition: str, order: str, back: int = 1) -> str:
        """The column's value so many rows before this one; NULL where there is none."""
        over = f"PARTITION BY {partition} ORDER BY {order}" if partition else f"ORDER BY {order}"
        if self.name == "sqlite":
            return f"LAG({column}, {back}) OVER ({over})"
        frame = f"ROWS BETWEEN {back} PRECEDING AND CURRENT ROW"
        return f"lagInFrame(toNullable({column}), {back}) OVER ({over} {frame})"

    def greatest(self, values: Sequence[str]) -> str:
        """The greatest of several values; NULL where one is NULL."""
        return f"{'MAX' if self.name == 'sqlite' else 'greatest'}({', '.join(values)})"

    def apart(self, select: str) -> str:
        """A SELECT whose columns are computed once, however often the statement around it names them.

        SQLite writes a subquery's expressions into the statement around it; where each step names the columns of the
        one below several times, the statement grows by that factor with every step. It leaves a subquery with a
        LIMIT alone where the statement around it has one too, or a WHERE (sqlite.org/optoverview.html, 11).
        """
        return f"{select} LIMIT -1" if self.name == "sqlite" else select

    def extreme(self, function: Literal["min", "max"], column: str) -> str:
        """The columns ``value`` and ``timestamp`` of the row that has the least or greatest value of a group."""
        if self.name == "sqlite":  # a bare column beside min() or max() comes from that row
            return f"{function}({column}) AS value, timestamp"
        pick = "argMin" if function == "min" else "argMax"
        return f"{function}({column}) AS value, {pick}(timestamp, {column}) AS timestamp"


_DIALECTS: dict[str, Dialect] = {"sqlite": Dialect("sqlite"), "clickhouse": Dialect("clickhouse")}


def dialect_of(reader: Reader) -> Dialect:
    """The dialect that a reader understands."""
    if reader.dialect not in _DIALECTS:
        raise StoreError(f"the query API does not speak {reader.dialect!r}")
    return _DIALECTS[reader.dialect]


def run(reader: Reader, sql: Sql) -> list[dict[str, Value]]:
    """Run a finished piece of SQL."""
    return reader.query(sql.text, sql.params)
