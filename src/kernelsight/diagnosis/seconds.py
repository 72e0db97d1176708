"""Amounts by second of a window, and their sums over stretches of it, however many are asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from kernelsight.diagnosis.window import Interval

_MOST_STRETCHES = 3
_ROUNDING = 1e-9
"""A difference of two sums below it is none: no amount of anything is that small (ns, bytes, times)."""


class Seconds(Mapping[int, float]):
    """Amounts by second."""

    __slots__ = ("_amounts", "_seconds", "_sums")

    def __init__(self, amounts: dict[int, float] | None = None) -> None:
        """Take amounts by second, which are nobody else's from then on; none yet without them."""
        self._amounts = {} if amounts is None else amounts
        self._sums: list[float] = []
        self._seconds: list[int] = []

    def add(self, second: int, amount: float) -> None:
        """Add to a second."""
        self._amounts[second] = self._amounts.get(second, 0.0) + amount
        if self._sums:
            self._sums.clear()

    def add_all(self, amounts: Mapping[int, float]) -> None:
        """Add to several seconds."""
        for second, amount in amounts.items():
            self.add(second, amount)

    def within(self, run: Interval) -> float:
        """The sum over a stretch."""
        if not self._amounts:
            return 0.0
        sums = self._sums or self._summed()
        amount = sums[bisect_right(self._seconds, run.last)] - sums[bisect_left(self._seconds, run.first)]
        return amount if amount > _ROUNDING else 0.0

    def _summed(self) -> list[float]:
        """The sum of all amounts before each one, in the order of their seconds."""
        self._seconds = sorted(self._amounts)
        self._sums = list(accumulate(map(self._amounts.__getitem__, self._seconds), initial=0.0))
        return self._sums

    def of(self, second: int) -> float:
        """The amount of one second."""
        return self._amounts.get(second, 0.0)

    def known(self, run: Interval) -> int:
        """Seconds of a stretch that have an amount."""
        if len(self._amounts) < run.seconds:
            return sum(second in run for second in self._amounts)
        return len(self._amounts.keys() & range(run.first, run.last + 1))

    def items(self) -> ItemsView[int, float]:
        """Seconds with an amount, and it."""
        return self._amounts.items()

    def get(self, second: int, default: Any = None) -> Any:
        """As of any mapping, without the error that is raised and caught for each second without an amount."""
        return self._amounts.get(second, default)

    def __contains__(self, second: object) -> bool:
        return second in self._amounts

    def __getitem__(self, second: int) -> float:
        return self._amounts[second]

    def __iter__(self) -> Iterator[int]:
        return iter(self._amounts)

    def __len__(self) -> int:
        return len(self._amounts)


def telling(found: Sequence[Interval]) -> list[Interval]:
    """Of many stretches in which the same thing held, those to look at: the last one, and the longest."""
    if len(found) <= _MOST_STRETCHES:
        return list(found)
    longest = sorted(found[:-1], key=lambda run: -run.seconds)[: _MOST_STRETCHES - 1]
    return sorted([*longest, found[-1]], key=lambda run: run.first)
