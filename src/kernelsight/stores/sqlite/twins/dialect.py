"""The SQL of DuckDB, where it says something else than SQLite's, so that both give the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal


class DuckDbDialect:
    """See :class:`kernelsight.stores.dialect.Dialect`."""

    def int_div(self, dividend: str, divisor: str) -> str:
        """``/`` gives a real number; ``//`` cuts towards zero, as SQLite does."""
        return f"({dividend}) // ({divisor})"

    def lag(self, column: str, partition: str, order: str, back: int = 1) -> str:
        """As the standard has it."""
        over = f"PARTITION BY {partition} ORDER BY {order}" if partition else f"ORDER BY {order}"
        return f"LAG({column}, {back}) OVER ({over})"

    def greatest(self, values: Sequence[str]) -> str:
        """``greatest`` passes over NULL; here one NULL is enough."""
        unknown = " OR ".join(f"({value}) IS NULL" for value in values)
        return f"CASE WHEN {unknown} THEN NULL ELSE greatest({', '.join(values)}) END"

    def apart(self, select: str) -> str:
        """Nothing is needed: common expressions are computed once."""
        return select

    def extreme(self, function: Literal["min", "max"], column: str) -> str:
        """Of several rows with the extreme value, the first in time."""
        sign = "" if function == "min" else "-"
        pair = f"{function}(struct_pack(v := {column}, t := {sign}timestamp))"
        return f"{pair}.v AS value, {sign}({pair}.t) AS timestamp"

    def nearest(self, left: str, right: str, labels: Sequence[str], back_ns: int, ahead_ns: int) -> str:
        """One ASOF join, to the last row that is not later; each of those brings the next with it.

        A row before all others is what a row on the left meets that is earlier than all on the right.
        """
        chosen = ", ".join(f"l.{name}" for name in ("timestamp", *labels, "a"))
        back, ahead = "l.timestamp - r.timestamp", "r.next_at - l.timestamp"
        nearer = "true" if not ahead_ns else f"r.next_at IS NULL OR {back} <= {ahead}"
        cases = [
            ("l.timestamp = r.timestamp", "r.low", "r.timestamp"),
            (f"r.timestamp >= 0 AND {back} <= {back_ns} AND ({nearer})", "r.high", "r.timestamp"),
            (f"{ahead} <= {ahead_ns}", "r.next_low", "r.next_at"),
        ]
        value = " ".join(f"WHEN {test} THEN {found}" for test, found, _ in cases)
        stamp = " ".join(f"WHEN {test} THEN {at}" for test, _, at in cases)
        by_time = f"SELECT timestamp, min(b) AS low, max(b) AS high FROM ({right}) GROUP BY timestamp"
        return (
            f"WITH l AS ({left}), r AS (SELECT timestamp, low, high, lead(timestamp) OVER later AS next_at,"
            f" lead(low) OVER later AS next_low FROM ({by_time} UNION ALL SELECT -1, NULL, NULL)"
            " WINDOW later AS (ORDER BY timestamp))"
            f" SELECT {chosen}, CASE {value} END AS b, CASE {stamp} END AS at"
            " FROM l ASOF LEFT JOIN r ON l.timestamp >= r.timestamp"
        )

    def like(self, column: str) -> str:
        """Like SQLite: without regard to the case of ASCII letters, and numbers as text."""
        upper, lower = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
        folded = [f"translate({text}, '{upper}', '{lower}')" for text in (f"CAST({column} AS VARCHAR)", "?")]
        return " LIKE ".join(folded)

    def nearest_ranks(self, value: str, shares: Sequence[Fraction]) -> list[str]:
        """Exact: a share that is written as a decimal is counted with in integers."""
        decimals = ", ".join(_decimal(share) for share in shares)
        return [f"quantile_disc({value}, [{decimals}])[{place}]" for place in range(1, len(shares) + 1)]

    def estimate(self, value: str, share: Fraction) -> str:
        """By a t-digest."""
        return f"approx_quantile({value}, {float(share)!r})"


def _decimal(share: Fraction) -> str:
    """A share of at most six decimals as a DECIMAL."""
    return f"CAST('{share.numerator * 10**6 // share.denominator / 10**6:.6f}' AS DECIMAL(7, 6))"
