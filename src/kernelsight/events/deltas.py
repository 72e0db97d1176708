"""What a counter grew by: the one rule, for whoever reads counters.

A sample is judged by its value, by the counter's declaration (:class:`~kernelsight.events.declare.Counter`), and by
the values that the same entity had in up to :data:`REACH` samples before it, in the order in which they arrived. Later
samples change nothing, so that a reader that follows the telemetry and one that looks back say the same.
:func:`in_order` says which sample follows which, where the clock was set back.

* **growth**: the value is at or above all values of the reach. It grew by the difference to the highest of them.
* **jitter**: it is below, by no more than the declaration allows (the kernel estimates such counters). It grew by 0;
  what follows is measured from the highest value, so that nothing is counted twice.
* **wrap**: a counter of 32 bits passed its end and begins again at 0. It grew by the difference modulo 2^32.
* **fall**: it is below for another reason. How much it grew is not known. What comes next decides:
* **glitch**: it leaps back to its course, at or a little above the value before the fall. It grew by the difference to
  that value, in the time since then; the samples between are no measurement.
* **reset**: it goes on from where it fell to, in steps that are plausible. It grew by each step. A value that stays
  where it fell to may be either, and is not known until the fall is out of reach.

``query/growth.py`` says the same in SQL; a property test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeGuard, TypeVar

from kernelsight.events.declare import Counter

REACH = 5
"""Samples before a value that it is judged by: a glitch may last one sample less."""
LIVELIER = 4
"""How many times as large as the step before a step may be, and still go on from it."""
SHORT_STEP = 10
"""A step of less than this part of the way back to the course is no return to it."""
BEYOND = 4
"""A return that lands beyond the value before the fall by more than this part of the fall may be a fast restart."""
ON_COURSE = 4 * REACH
"""Unless it lands no farther beyond than so many of the steps before the fall: a busy counter that is young."""
WRAP = 2**32
LAST_OF_WRAP = 16
"""A counter wraps where it grew by less than this part of its range; otherwise it fell."""
LEAST_PACE = 2**16
"""A counter that stood still may go on by this at its wrap."""

Number = int | float
Sample = TypeVar("Sample")


class Delta(NamedTuple):
    """What a counter grew by."""

    amount: Number
    ns: int
    """In this time, which ends at the sample."""


class Growth(NamedTuple):
    """What a counter grew by, and since which sample."""

    amount: Number
    back: int
    """So many known samples before; at least 1."""


def growth(value: Number, known: Sequence[Number], counter: Counter) -> Growth | None:
    """What a counter grew by at one sample; None where that is not known.

    Args:
        value: of the sample.
        known: the values before it, the last one first; those that are NULL are left out. At most
            :data:`REACH` of them are looked at.
        counter: the declaration of the column.
    """
    if not known:
        return None
    reach = known[:REACH]
    last, peak = reach[0], max(reach)
    if value < peak:
        return _below(value, reach, peak, counter)
    if last == peak or peak - last <= counter.jitter:
        return Growth(value - peak, 1)
    if _goes_on(value, reach, peak):
        return Growth(value - last, 1)
    beyond = value - peak
    if last * 2 >= peak or beyond * BEYOND <= peak - last or beyond <= ON_COURSE * _pace(reach, peak):
        return Growth(value - peak, reach.index(peak) + 1)
    return None


def _below(value: Number, reach: Sequence[Number], peak: Number, counter: Counter) -> Growth | None:
    last = reach[0]
    if peak - value <= counter.jitter:
        return Growth(0, 1)
    if value <= last:
        return Growth(value + WRAP - last, 1) if _wraps(value, reach, peak, counter) else None
    step = value - last
    plausible = step * SHORT_STEP <= peak - last or step <= LIVELIER * _pace(reach, peak)
    return Growth(step, 1) if plausible or _goes_on(value, reach, peak) else None


def _wraps(value: Number, reach: Sequence[Number], peak: Number, counter: Counter) -> bool:
    """Whether it passed 2^32 at about its pace. A value of exactly 0 is rather a glitch or a reset."""
    last = reach[0]
    if counter.bits == 64 or not 0 < value < last == peak < WRAP:
        return False
    grown = value + WRAP - last
    pace = max(_pace(reach, peak), LEAST_PACE) if len(reach) > 1 else WRAP
    return grown * LAST_OF_WRAP < WRAP and grown <= LIVELIER * pace


def _goes_on(value: Number, reach: Sequence[Number], peak: Number) -> bool:
    """Whether it grew by about as much as at the sample before, after a fall: it crept and did not leap."""
    return (
        len(reach) > 1
        and reach[1] < peak
        and reach[0] > reach[1]
        and value - reach[0] <= LIVELIER * (reach[0] - reach[1])
    )


def _pace(reach: Sequence[Number], peak: Number) -> Number:
    """The step by which the value before the fall was reached; 0 where it is out of reach."""
    place = reach.index(peak) + 1
    return max(peak - reach[place], 0) if place < len(reach) else 0


def in_order(
    series: Iterable[list[Sample]],
    stamp: Callable[[Sample], int],
    counters: Sequence[Callable[[Sample], Number | None]],
) -> list[list[Sample]]:
    """The samples of each entity in the order in which they were taken.

    They come in the order in which they arrived. Where stamps go back in it, either the clock was set back, and
    by the stamps the samples of before and after are mixed up; or samples came late. Counters tell: they fall
    where the order is wrong. The order in which they fall less often is right; that of the stamps where both
    are alike, which is where nothing grows.
    """
    series = list(series)
    if all(stamps == sorted(stamps) for stamps in (list(map(stamp, samples)) for samples in series)):
        return series
    by_stamp = [sorted(samples, key=stamp) for samples in series]
    return by_stamp if _falls(by_stamp, counters) <= _falls(series, counters) else series


def _falls(series: Iterable[list[Sample]], counters: Sequence[Callable[[Sample], Number | None]]) -> int:
    return sum(
        after is not None and before is not None and after < before
        for samples in series
        for a, b in pairwise(samples)
        for before, after in ((counter(a), counter(b)) for counter in counters)
    )


def deltas(samples: Sequence[tuple[int, Number | None]], counter: Counter) -> list[Delta | None]:
    """What a counter grew by at each sample of one entity.

    Args:
        samples: stamp (ns) and value, in the order of arrival.
        counter: the declaration of the column.

    Returns:
        one a sample; None where it is not known, as at the first one, and where the clock did not go forward.
    """
    grown: list[Delta | None] = []
    history = History(counter)
    for at_ns, value in samples:
        grown.append(history.take(at_ns, value))
    return grown


class History:
    """The samples of one counter of one entity that are within reach."""

    __slots__ = ("_counter", "_stamps", "_values")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._values: list[Number] = []
        self._stamps: list[int] = []

    def take(self, at_ns: int, value: Number | None) -> Delta | None:
        """What it grew by at its next sample."""
        if value is None:
            return None
        values, stamps = self._values, self._stamps
        step = growth(value, values, self._counter)
        delta = None
        if step is not None and at_ns > stamps[0] and at_ns > stamps[step.back - 1]:
            delta = Delta(step.amount, at_ns - stamps[step.back - 1])
        values.insert(0, value)
        stamps.insert(0, at_ns)
        del values[REACH:], stamps[REACH:]
        return delta


def only_grows(values: Sequence[Number | None]) -> TypeGuard[Sequence[Number]]:
    """Whether a counter's values are all known and none is below the one before: each difference is growth then."""
    return None not in values and all(a <= b for a, b in pairwise(values))  # type: ignore[operator] # none is None


def growths(values: Sequence[Number], counter: Counter) -> list[Growth | None]:
    """What a counter grew by at each of its known values, in their order."""
    return [growth(value, values[max(0, place - REACH) : place][::-1], counter) for place, value in enumerate(values)]


def increase(values: Sequence[Number], counter: Counter) -> Number:
    """How much a counter grew over its known values, in their order; what is not known is nothing."""
    if only_grows(values):
        return values[-1] - values[0] if values else 0
    return sum(step.amount for step in growths(values, counter) if step is not None)


def telling(values: Sequence[Number]) -> list[int]:
    """The places of the values without which the increase would be another: the ends, and those about a fall."""
    ends = {0, len(values) - 1} if values else set()
    falls = (place for place, (a, b) in enumerate(pairwise(values), 1) if b < a)
    about = {place + k for place in falls for k in range(-REACH - 1, 2 * REACH + 1)}
    return sorted(ends | {place for place in about if 0 <= place < len(values)})
