"""The SQL of SQLite, where that of another store is different."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal


class SqliteDialect:
    """See :class:`kernelsight.stores.dialect.Dialect`."""

    def int_div(self, dividend: str, divisor: str) -> str:
        """Integers are divided so."""
        return f"({dividend}) / ({divisor})"

    def lag(self, column: str, partition: str, order: str, back: int = 1) -> str:
        """As the standard has it."""
        over = f"PARTITION BY {partition} ORDER BY {order}" if partition else f"ORDER BY {order}"
        return f"LAG({column}, {back}) OVER ({over})"

    def greatest(self, values: Sequence[str]) -> str:
        """The scalar function max()."""
        return f"MAX({', '.join(values)})"

    def apart(self, select: str) -> str:
        """A subquery with a LIMIT.

        SQLite writes a subquery's expressions into the statement around it; where each step names the columns of the
        one below several times, the statement grows by that factor with every step. It leaves a subquery with a
        LIMIT alone where the statement around it has one too, or a WHERE (sqlite.org/optoverview.html, 11).
        """
        return f"{select} LIMIT -1"

    def nearest(self, left: str, right: str, labels: Sequence[str], back_ns: int, ahead_ns: int) -> None:
        """A join by inequality would compare all with all."""

    def like(self, column: str) -> str:
        """LIKE is as it is asked for."""
        return f"{column} LIKE ?"

    def nearest_ranks(self, value: str, shares: Sequence[Fraction]) -> list[str]:
        """There are none."""
        del value, shares
        return []

    def estimate(self, value: str, share: Fraction) -> None:
        """There is none."""

    def extreme(self, function: Literal["min", "max"], column: str) -> str:
        """A bare column beside min() or max() comes from the row that has it."""
        return f"{function}({column}) AS value, timestamp"
