"""The words of others: which of our columns each name can mean, made from the declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from kernelsight.events import wire
from kernelsight.events.declare import Column, Flagged, Kind, Scaled

TAGS = frozenset({"tags", "labels", "dimensions"})
"""Names of nested objects that hold the labels of a line."""

WRAPPERS = TAGS | {"data", "event", "payload", "fields", "metrics", "values", "stats", "counters", "states"}
"""Names of nested objects that say nothing of what is in them."""

TYPE_KEYS = ("type", "event_type")

_OWN, _SAME_UNIT, _OTHER_UNIT = 0.0, 1.0, 2.0

_TIME_UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Meaning:
    """One column that a name can mean."""

    column: Column
    rank: float
    """Of several names for one column the lowest rank counts: our own, then others', then the finest unit."""
    factor: float = 1.0
    flagged: Flagged | None = None


Vocabulary = Mapping[str, tuple[Meaning, ...]]


def vocabulary(kind: Kind) -> Vocabulary:
    """All names that mean a column of this kind."""
    return _vocabularies()[kind.name]


@cache
def _vocabularies() -> Mapping[str, Vocabulary]:
    return {name: _words(kind) for name, kind in wire.kinds().items()}


def _words(kind: Kind) -> Vocabulary:
    words: dict[str, list[Meaning]] = {}
    for column in kind.columns[1:]:
        words.setdefault(column.name, []).append(Meaning(column, _OWN))
        for alias in column.aliases:
            words.setdefault(alias, []).append(Meaning(column, _SAME_UNIT))
        for scaled in (*column.scaled, *_in_other_units_of_time(kind, column)):
            rank = _OTHER_UNIT + scaled.factor
            words.setdefault(scaled.name, []).append(Meaning(column, rank, scaled.factor))
        for place, flag in enumerate(column.flagged):
            rank = _SAME_UNIT + (place + 1) / 100
            words.setdefault(flag.name, []).append(Meaning(column, rank, flagged=flag))
    return MappingProxyType({name: tuple(meanings) for name, meanings in words.items()})


def _in_other_units_of_time(kind: Kind, column: Column) -> Iterator[Scaled]:
    """`read_p50_ms` for `read_p50_us`: a name that ends in its unit of time can end in another one."""
    stem, _, unit = column.name.rpartition("_")
    if not stem or unit != column.unit or unit not in _TIME_UNITS_NS:
        return
    taken = {*kind.by_name, *(scaled.name for scaled in column.scaled)}
    for other, length_ns in _TIME_UNITS_NS.items():
        if f"{stem}_{other}" not in taken:
            yield Scaled(f"{stem}_{other}", length_ns / _TIME_UNITS_NS[unit])


@cache
def all_names() -> frozenset[str]:
    """Every name that means something in some kind."""
    return frozenset(name for kind in wire.kinds().values() for name in vocabulary(kind))


@cache
def kinds_called() -> Mapping[str, tuple[Kind, ...]]:
    """Kinds by the value of ``type``: a kind's own name first, then those that share it as a foreign one."""
    called: dict[str, list[Kind]] = {}
    for kind in wire.kinds().values():
        called.setdefault(kind.name, []).insert(0, kind)
        for word in kind.foreign:
            if kind not in called.setdefault(word, []):
                called[word].append(kind)
    return {word: tuple(names) for word, names in called.items()}
