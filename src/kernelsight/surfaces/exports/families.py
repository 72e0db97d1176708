"""Metric families, made from the declarations of the kinds: nothing else lists a metric.

A column that measures is a family, `kernelsight_<kind>_<column>_<unit>`, in the base units that Prometheus asks for
(seconds, bytes, ratios; https://prometheus.io/docs/practices/naming/). What tells the series of its kind apart are the
labels. Counters end in `_total`, as the exposition adds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from kernelsight.events.declare import Column, Counter, Kind, Label
from kernelsight.events.wire import kinds

PREFIX = "kernelsight"

_BASE_UNITS = {
    "ns": ("seconds", 1e-9),
    "us": ("seconds", 1e-6),
    "ms": ("seconds", 1e-3),
    "s": ("seconds", 1.0),
    "seconds": ("seconds", 1.0),
    "USER_HZ ticks": ("seconds", 1e-2),  # USER_HZ is 100 wherever Linux runs (include/asm-generic/param.h)
    "B": ("bytes", 1.0),
    "KiB": ("bytes", 1024.0),
    "512 B sectors": ("bytes", 512.0),
    "B/s": ("bytes_per_second", 1.0),
    "ns/s": ("ratio", 1e-9),
    "%": ("ratio", 1e-2),
    "kHz": ("hertz", 1e3),
    "Mbit/s": ("bytes_per_second", 125_000.0),
}
_SAYS_UNIT = re.compile(r"_(ns|us|ms|s|kb|bytes|sectors|ticks|percent|khz|mbit|mbps)$")
_PER_UNIT = re.compile(r"(?P<before>^|_)(ns|us|ms)_per_(?P<after>\w+)$")
_A_SECOND = re.compile(r"_per_s$")
_MISLEADS = re.compile(r"_(total|count|sum|bucket|info)$")
"""Ends of names that mean something to Prometheus that a column's does not."""
_SHORT_LIVED = frozenset({"pid", "tid", "parent_pid", "sport"})
"""Columns that name what comes and goes: processes, connections."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: what it is called, and which column it is made of."""

    name: str
    """Without the `_total` of a counter."""
    words: str
    """The part of it that stands for the column."""
    unit: str
    """Its base unit, or what it counts; empty where the declaration does not say."""
    is_counter: bool
    help: str
    kind: Kind
    column: str
    factor: float
    """What the column's value is multiplied by."""


def exported(*, processes: bool = False) -> Sequence[Kind]:
    """The kinds that have a series to export: those that are sampled.

    Args:
        processes: also those whose series are processes or connections, which are many and live for a short time.
    """
    return [
        kind
        for kind in kinds().values()
        if kind.interval_s is not None and (processes or not _SHORT_LIVED & set(kind.entity)) and families(kind)
    ]


def families(kind: Kind) -> Sequence[Family]:
    """The metrics of a kind, in the order of its columns."""
    return _families(kind.name)


@cache
def _families(kind_name: str) -> Sequence[Family]:
    kind = kinds()[kind_name]
    made: dict[str, Family] = {}
    for column in kind.columns:
        if _measures(column):
            family = _family(kind, column)
            if family.name in made:  # two columns that differ in their unit alone
                family = replace(family, name=f"{family.name}_{column.name}", words=f"{family.words}_{column.name}")
            made[family.name] = family
    return tuple(made.values())


def labels(kind: Kind) -> Sequence[str]:
    """The names of the labels that tell the series of a kind apart."""
    return kind.entity


def described_by(kind: Kind) -> Sequence[str]:
    """The columns that name or describe a series and do not tell it apart: labels of its `_info` metric."""
    return [
        column.name
        for column in kind.columns
        if isinstance(column.semantics, Label) and column.name not in {"timestamp", *kind.entity} and not column.unit
    ]


def _measures(column: Column) -> bool:
    return not isinstance(column.semantics, Label) and column.type in {"INTEGER", "REAL"}


def _family(kind: Kind, column: Column) -> Family:
    unit, factor = _BASE_UNITS.get(column.unit, (_word(column.unit), 1.0))
    words = _PER_UNIT.sub(r"\g<before>per_\g<after>", column.name)
    words = _without(words, _SAYS_UNIT if column.unit in _BASE_UNITS else None)
    words = _without(_A_SECOND.sub("_per_second", words), _MISLEADS)
    if unit and not words.endswith(unit) and words != unit:
        words = f"{words}_{unit}"
    meaning = column.meaning or f"{column.name} of {kind.table}"
    is_counter = isinstance(column.semantics, Counter)
    name = f"{PREFIX}_{kind.name}_{words}"
    return Family(name, words, unit, is_counter, _one_line(meaning), kind, column.name, factor)


def _without(name: str, ending: re.Pattern[str] | None) -> str:
    return (ending.sub("", name) or name) if ending else name


def _word(unit: str) -> str:
    """A unit that is a word and says what is counted, as a part of a name; nothing for one that is not."""
    return unit if re.fullmatch(r"[a-z]+", unit) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
