"""How many rows of a kind leave in a second, and which of them where there are more.

Any user can make entities without end: processes, mounts, interfaces in a namespace. A kind declares how
many rows a second are worth keeping and which columns say what matters (:func:`~kernelsight.events.declare.event`).
Rows are saved up for :data:`SAVED_S` seconds, so that a first look at everything and inventories pass whole.
Beyond that, the rows with the largest share of any of these columns are kept, and the others counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nlargest
from operator import mul

from kernelsight.collectors.clock import NS_PER_S
from kernelsight.events.declare import Counter, Event, Kind, kind_of

SAVED_S = 20
"""So many seconds of rows may leave at once, where few have left before."""

_STICKY = 2.0
"""How much more an entity whose row was kept the last time counts: its counters tell only from row to row."""

_LEAST = 1e-12
"""A share that is larger than none."""

Entity = tuple[object, ...]
Values = tuple[float, ...]


class RowBudget:
    """The rows of one collector."""

    def __init__(self) -> None:
        self.left_out = 0
        """Rows that did not leave."""
        self._kinds: dict[type[Event], _KindBudget] = {}

    def admit(self, events: Sequence[Event], moment: int) -> Sequence[Event]:
        """Those of these rows that may leave, in their order.

        Args:
            events: what a collector yields at once.
            moment: CLOCK_MONOTONIC (ns).
        """
        if not events:
            return events
        structs = set(map(type, events))
        by_kind: dict[type[Event], Sequence[Event]] = {
            struct: events if len(structs) == 1 else [event for event in events if type(event) is struct]
            for struct in structs
        }
        dropped: set[int] = set()
        for struct, rows in by_kind.items():
            budget = self._kinds.get(struct)
            if budget is None:
                budget = self._kinds[struct] = _KindBudget(kind_of(struct), moment)
            kept = budget.admit(rows, moment)
            if len(kept) < len(rows):
                dropped.update({id(row) for row in rows}.difference(map(id, kept)))
        self.left_out += len(dropped)
        return [event for event in events if id(event) not in dropped] if dropped else events

    @property
    def sentences(self) -> list[str]:
        """What was left out, a sentence for each kind."""
        return [budget.sentence for budget in self._kinds.values() if budget.left_out]


class _KindBudget:
    """The rows of one kind of one collector."""

    def __init__(self, kind: Kind, moment: int) -> None:
        self._kind = kind
        self._rate = kind.most_per_s
        self._saved = float(SAVED_S * kind.most_per_s)
        self._at = moment
        self._before: dict[Entity, Values] = {}
        self._kept: frozenset[Entity] = frozenset()
        self._are_levels = [not isinstance(kind.by_name[name].semantics, Counter) for name in kind.matters]
        self._has_counters = not all(self._are_levels)
        self._mattered = [0.0, 0.0]
        self.left_out = 0

    def admit(self, rows: Sequence[Event], moment: int) -> Sequence[Event]:
        """Those that may leave."""
        earned = max(0, moment - self._at) * self._rate / NS_PER_S
        self._saved, self._at = min(self._saved + earned, float(SAVED_S * self._rate)), max(moment, self._at)
        room = int(self._saved + 1e-6)
        if len(rows) <= room:
            self._saved -= len(rows)
            self._kept = frozenset()
            # More than is earned: soon some may have to stay, and how fast counters grow must be known by then.
            self._before = self._values(rows) if self._has_counters and len(rows) > self._rate else {}
            return rows
        kept = self._choose(rows, room)
        self._saved -= len(kept)
        self.left_out += len(rows) - len(kept)
        return kept

    def _choose(self, rows: Sequence[Event], room: int) -> Sequence[Event]:
        values = [self._value_of(row) for row in rows]
        keys = [self._key_of(row) for row in rows]
        before, self._before = self._before, dict(zip(keys, values, strict=True)) if self._has_counters else {}
        amounts = [self._grown(value, before.get(key)) for key, value in zip(keys, values, strict=True)]
        scales = [1 / (sum(column) or 1.0) for column in zip(*amounts, strict=True)]
        shares = [max(map(mul, row, scales), default=0.0) for row in amounts]
        if self._kind.entity:
            shares = [
                share * _STICKY + _LEAST if key in self._kept else share
                for key, share in zip(keys, shares, strict=True)
            ]
        chosen = sorted(nlargest(room, range(len(rows)), key=shares.__getitem__))
        self._kept = frozenset(keys[at] for at in chosen)
        if scales:
            self._mattered[0] += sum(amounts[at][0] for at in chosen)
            self._mattered[1] += sum(row[0] for row in amounts)
        return [rows[at] for at in chosen]

    def _values(self, rows: Iterable[Event]) -> dict[Entity, Values]:
        return {self._key_of(row): self._value_of(row) for row in rows}

    def _key_of(self, row: Event) -> Entity:
        return tuple([getattr(row, column) for column in self._kind.entity])

    def _value_of(self, row: Event) -> Values:
        return tuple([getattr(row, column) or 0 for column in self._kind.matters])

    def _grown(self, value: Values, last: Values | None) -> Values:
        """Levels and sums as they are, of counters what they grew by; nothing where that is not known."""
        if last is None:
            return tuple(map(mul, value, self._are_levels))
        return tuple(
            [
                max(now if level else now - then, 0)
                for now, then, level in zip(value, last, self._are_levels, strict=True)
            ]
        )

    @property
    def sentence(self) -> str:
        """What was left out since the start."""
        kind = self._kind
        said = f"{self.left_out} rows of {kind.name} left out, beyond {self._rate} a second"
        if not kind.matters:
            return said
        kept, of_all = self._mattered
        share = f", which had {1 - kept / of_all:.1%} of {kind.matters[0]}" if of_all else ""
        return f"{said}{share}: those with most {', '.join(kind.matters)} are kept"
