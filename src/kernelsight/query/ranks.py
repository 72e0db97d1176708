"""The value at a rank among very many, where collecting all of them would take too much memory.

Two estimates that lie around the value cut out a small part of all values; how many lie below that part is counted, so
the value is exact, and where the estimates were wrong, that is noticed.
"""

from __future__ import annotations

from fractions import Fraction

from kernelsight.query.dialect import Sql
from kernelsight.stores.base import Reader

MOST_COLLECTED = 4_000_000
"""Values that are collected and sorted at once: 32 MB, and the double while they are collected."""
_MARGIN = Fraction(1, 200)
"""Of all values, to each side of the rank: estimates of a t-digest are nearer (Dunning, arXiv:1902.04023)."""


def value_at(reader: Reader, points: Sql, value: str, total: int, share: Fraction) -> float | None:
    """The value at the nearest rank of a share.

    Args:
        reader: one whose dialect estimates quantiles.
        points: a SELECT with the values.
        value: their column; NULL does not count.
        total: how many there are that are not NULL.
        share: 0 to 1.

    Returns:
        the value; None where the estimates do not lie around it.
    """
    estimates = [
        reader.dialect.estimate(value, min(max(share + side * _MARGIN, Fraction(0)), Fraction(1))) for side in (-1, 1)
    ]
    if None in estimates:
        return None
    source = f"({points.text}) AS points WHERE {value} IS NOT NULL"
    [(low, high)] = reader.tuples(f"SELECT {estimates[0]}, {estimates[1]} FROM {source}", points.params)
    within, params = f"{source} AND {value} >= ? AND {value} <= ?", (*points.params, low, high)
    [(below, inside)] = reader.tuples(
        f"SELECT COUNT(CASE WHEN {value} < ? THEN 1 END), COUNT(CASE WHEN {value} >= ? AND {value} <= ? THEN 1 END)"
        f" FROM {source}",
        (low, low, high, *points.params),
    )
    place = max(1, -(-(total * share.numerator) // share.denominator)) - int(below or 0)
    if not 0 < place <= int(inside or 0) or int(inside or 0) > MOST_COLLECTED:
        return None
    [(found,)] = reader.tuples(f"SELECT {value} FROM {within} ORDER BY {value} LIMIT 1 OFFSET ?", (*params, place - 1))
    assert isinstance(found, (int, float))
    return found
