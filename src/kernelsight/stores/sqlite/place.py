"""Where rows go: ids that follow time, so that a range of time is found by id in a segment without an index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import add, itemgetter, lt, sub

from kernelsight.stores.base import Row, Value

_STAMP = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows ready to be bound, and what they mean for the books of their segment."""

    rows: Iterable[tuple[Value, ...]]
    """As they came, where the stamps serve as ids; with the id in front otherwise."""
    with_id: bool
    last_id: int
    first_timestamp: int
    last_timestamp: int
    late_ns: int
    early_ns: int


def place(rows: Sequence[Row], last_id: int, latest: int, *, may_sort: bool = True) -> Placed:
    """Give each row the id ``max(last id + 1, min(timestamp, latest))``, sorting them first where that helps.

    Args:
        rows: at least one row.
        last_id: the id given last.
        latest: stamps after this one (far in the future) do not draw the ids with them.
        may_sort: whether the order in which they arrived says nothing.

    Raises:
        TypeError: a stamp is not a number.
    """
    stamps: list[int] = list(map(_STAMP, rows))
    if set(map(type, stamps)) != {int}:
        raise TypeError("a timestamp is not an integer")
    first, last = stamps[0], stamps[-1]
    if first > last_id and last <= latest and all(map(lt, stamps, islice(stamps, 1, None))):
        return Placed(rows, False, last, first, last, 0, 0)
    lowest, highest = min(stamps), max(stamps)
    if may_sort and lowest > last_id and highest <= latest and len(set(stamps)) == len(stamps):
        # Several CPUs' events, each in order: sorting costs less than ids of their own.
        return Placed(sorted(rows, key=_STAMP), False, highest, lowest, highest, 0, 0)
    ids = []
    for stamp in stamps:
        wanted = min(stamp, latest)
        last_id = wanted if wanted > last_id else last_id + 1
        ids.append(last_id)
    offsets = list(map(sub, ids, stamps))
    return Placed(
        rows=map(add, zip(ids, strict=True), rows),
        with_id=True,
        last_id=last_id,
        first_timestamp=lowest,
        last_timestamp=highest,
        late_ns=max(0, *offsets) if offsets else 0,
        early_ns=max(0, -min(offsets)),
    )
