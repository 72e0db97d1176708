"""Where the SQL of one store differs from that of another; queries are written in what all of them share.

Each backend brings its own: what is not here, or not the same everywhere, no query may use.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, Protocol


class Dialect(Protocol):
    """The expressions that each store writes in its own way. All that is given and returned is SQL."""

    def int_div(self, dividend: str, divisor: str) -> str:
        """Whole part of a quotient of two integers."""

    def lag(self, column: str, partition: str, order: str, back: int = 1) -> str:
        """The column's value so many rows before this one; NULL where there is none.

        Args:
            column: whose value.
            partition: columns of the rows that belong together, with commas between; empty: all rows do.
            order: columns that the rows are sorted by.
            back: how many rows before.
        """

    def greatest(self, values: Sequence[str]) -> str:
        """The greatest of several values; NULL where one is NULL."""

    def apart(self, select: str) -> str:
        """A SELECT whose columns are computed once, however often the statement around it names them."""

    def nearest(self, left: str, right: str, labels: Sequence[str], back_ns: int, ahead_ns: int) -> str | None:
        """SELECT the rows of one relation, each with the row of another that is nearest in time; None: not in SQL.

        The columns are ``timestamp``, the labels and ``a`` of the left one, and ``b`` and ``at``, the value and the
        stamp of the right one, NULL where none is near enough. A row of the same time comes first, then the nearest, of
        two equally near the earlier. Where the right one has several rows of one time, the least value counts for left
        rows of the same or an earlier time, and the greatest for later ones.

        Args:
            left: a SELECT with ``timestamp``, the labels and ``a``.
            right: a SELECT with ``timestamp`` and ``b``, without NULL.
            labels: columns of the left one.
            back_ns: how much earlier the other may be; 0: not earlier.
            ahead_ns: how much later.
        """

    def like(self, column: str) -> str:
        """A condition: text that is like a pattern, whose placeholder is in it; ASCII letters match in either case."""

    def nearest_ranks(self, value: str, shares: Sequence[Fraction]) -> list[str]:
        """Aggregates: the values at the nearest ranks of some shares (0 to 1, at most six decimals), in their order.

        The value at the nearest rank is the least that at least so large a share does not exceed. Empty: there are no
        such aggregates, and rows have to be numbered.
        """

    def estimate(self, value: str, share: Fraction) -> str | None:
        """An aggregate: about the quantile of a share, in little memory; None: there is none."""

    def extreme(self, function: Literal["min", "max"], column: str) -> str:
        """The columns ``value`` and ``timestamp`` of the row that has the least or greatest value of a group.

        Of several such rows it is the first in time.
        """
