"""The declaration language: what a kind of event is, and what is said about each of its columns.

A kind is a :class:`msgspec.Struct` with metadata on its fields::

    @event(table="block_stats", entity=("device_name",), source="/sys/block/*/stat", foreign=("blockstats",))
    class Block(Event, tag="block"):
        '''I/O of one block device since boot (Documentation/block/stat.rst).'''

        device_name: Annotated[Text | None, Label(), Aka("device")] = None
        read_sectors: Annotated[Count | None, Counter("512 B sectors")] = None
        io_ticks: Annotated[Count | None, Counter("ms"), Means("time with at least one request in flight")] = None

The DDL of every store, the decoder, the collectors' output, the query's columns, the data
dictionary and the Arrow schema are made from :func:`kinds`; nothing else lists a column.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from kernelsight.registry import Registry

# Stamps before 2001-09-09 in nanoseconds are not stamps on the Unix epoch in nanoseconds: they are
# seconds, milliseconds, microseconds or time since boot, which ingestion converts by rule.
EARLIEST_EPOCH_NS = 1_000_000_000_000_000_000
# A clock that was never set reads an earlier time. From 1980 on, a stamp in nanoseconds is longer than the uptime of
# any machine, and cannot be anything else.
EARLIEST_UNSET_NS = 10 * 365 * 86_400 * 1_000_000_000
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
LONGEST_TEXT = 65_536

Int = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
"""A signed 64-bit integer, which is what every store holds."""

Count = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
"""What only grows, from 0."""

Level32 = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
"""A level that the kernel keeps in 32 bits and shows unsigned: below zero, it shows more than this can hold."""

Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
"""Text as the kernel or the process gave it; never trusted, never interpreted."""

Real = float
Flag = bool

EpochNs = Annotated[int, msgspec.Meta(ge=EARLIEST_EPOCH_NS, le=INT64_MAX)]
"""Nanoseconds since the Unix epoch."""


# --- what can be said about a column ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counter:
    """Only grows (until a reset); people want its rate. :mod:`kernelsight.events.deltas` says what it grew by."""

    unit: str = ""
    jitter: int = 0
    """It may fall by so much without meaning anything, as the kernel estimates it or adds it up while it changes."""
    bits: Literal[32, 64] = 64
    """Those that the kernel or a driver may count with: after 2^32 - 1 comes 0 where they are 32."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A level at the time of the event, or a measurement of the event itself."""

    unit: str = ""
    bits: Literal[32, 64] = 64
    """Those that the kernel keeps it in. Below zero it shows 2^32 or 2^64 less so much: see :func:`below_zero`."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A count or sum over the interval that ends at the event's timestamp."""

    unit: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Names or identifies something: a process, a device, a state; not a measurement."""

    unit: str = ""


@dataclass(frozen=True, slots=True)
class Unsigned64:
    """Unsigned in the kernel, stored as the signed integer of the same 64 bits."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the column means, where its name does not say it."""

    text: str


@dataclass(frozen=True, slots=True, init=False)
class Aka:
    """Other collectors' names for this column, with the same unit."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another collector's name for this column in another unit: ours = theirs x factor."""

    name: str
    factor: float


@dataclass(frozen=True, slots=True)
class Flagged:
    """Another collector's yes-or-no field that says this column's value: `is_major` for `fault_type`.

    The notes of a column are asked in order; the first that has a value for the answer given decides.
    """

    name: str
    yes: str | bool | None = None
    no: str | bool | None = None


@dataclass(frozen=True, slots=True, init=False)
class Spoken:
    """What people call this column when they ask about it, in the singular and in small letters."""

    names: tuple[str, ...]
    scarce: bool
    """What matters is how little there is of it."""
    rank: int
    """Of several columns with the same name, entity and use, that of the lowest rank is meant."""

    def __init__(self, *names: str, scarce: bool = False, rank: int = 1) -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "scarce", scarce)
        object.__setattr__(self, "rank", rank)


Semantics = Counter | Gauge | Delta | Label


def below_zero(semantics: Semantics, number: int) -> bool:
    """Whether a number is what is shown of a count or level that fell below zero: no measurement, stored as NULL.

    That is what a signed number of as many bits cannot hold, such as 4294967295 requests in flight, and a counter
    below zero. A counter of 32 bits may be in the upper half of them.
    """
    if isinstance(semantics, Label):
        return False
    if isinstance(semantics, Counter) and number < 0:
        return True
    bits = semantics.bits if isinstance(semantics, Gauge) else 64
    return 1 << (bits - 1) <= number < 1 << 64


StorageType = Literal["INTEGER", "REAL", "TEXT", "BOOLEAN"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column, as everything that is derived from the declaration sees it."""

    name: str
    type: StorageType
    semantics: Semantics
    unit: str
    meaning: str
    aliases: tuple[str, ...]
    scaled: tuple[Scaled, ...]
    choices: tuple[str, ...]
    unsigned64: bool
    required: bool
    flagged: tuple[Flagged, ...] = ()
    spoken: Spoken | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event and all that is known about it."""

    name: str
    table: str
    struct: type[Event]
    columns: tuple[Column, ...]
    entity: tuple[str, ...]
    source: str
    meaning: str
    foreign: tuple[str, ...]
    recognised_by: tuple[frozenset[str], ...]
    indexes: tuple[tuple[str, ...], ...]
    interval_s: float | None
    most_per_s: int
    """Rows a second that are kept of one collector; of more, those with most of what matters."""
    matters: tuple[str, ...]
    """Columns of numbers that say how much a row matters, the first before all."""
    lasting: bool
    """The record of what people and the agent did: no default limit lets go of its rows."""
    by_name: Mapping[str, Column] = field(repr=False)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in the order of the struct, of the table and of every row."""
        return self.struct.__struct_fields__


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One record of telemetry. On the wire: one NDJSON line, with the kind in ``type``.

    Unknown fields are refused here so that a line in somebody else's words is noticed and goes
    through :mod:`kernelsight.ingest.foreign`, where nothing in it is lost by accident.

    The stamp is the first field of every kind, so that it is the first column of every row
    (a keyword-only base would put it last).
    """

    timestamp: EpochNs


E = TypeVar("E", bound=Event)
KINDS: Registry[str, Kind] = Registry("kind", "kernelsight.events", skip={"declare", "unsigned", "wire"})
"""Use :func:`kernelsight.events.wire.kinds` for all of them."""


def event(  # noqa: PLR0913 - a declaration says everything there is to say, by keyword
    *,
    table: str,
    source: str,
    entity: tuple[str, ...] = (),
    foreign: tuple[str, ...] = (),
    recognised_by: tuple[tuple[str, ...], ...] = (),
    indexes: tuple[tuple[str, ...], ...] = (),
    interval_s: float | None = 1.0,
    most_per_s: int = 200,
    matters: tuple[str, ...] = (),
    lasting: bool = False,
) -> Callable[[type[E]], type[E]]:
    """Register a kind of event.

    Args:
        table: public name of its table.
        source: where in the kernel it comes from, for the data dictionary.
        entity: the columns that tell one series from another (empty: one per machine).
        foreign: other collectors' values of ``type`` for it; two kinds may share one, the fields decide.
        recognised_by: alternative sets of our column names; a line without a usable ``type`` that has
            all of one set (after aliases) is of this kind. The largest matching set wins.
        indexes: columns of each secondary index besides the one on ``timestamp``.
        interval_s: seconds between two samples of one entity; None for events that occur by themselves.
        most_per_s: rows a second that a collector writes of it in the long run; more than any usual machine has.
        matters: columns of numbers that say which rows are kept where there are more than that.
        lasting: it is the record of what people and the agent did: no default limit lets go of its rows.
    """

    def declare(struct: type[E]) -> type[E]:
        name = struct.__struct_config__.tag
        if not isinstance(name, str) or not struct.__doc__:
            raise TypeError(f"{struct.__name__} needs a tag and a docstring")
        columns = tuple(_columns(struct))
        by_name = {column.name: column for column in columns}
        for used in (*entity, *matters, *(c for group in (*recognised_by, *indexes) for c in group)):
            if used not in by_name:
                raise TypeError(f"{struct.__name__}: no column {used!r}")
        if any(kind.table == table for kind in KINDS.declared.values()):
            raise TypeError(f"{struct.__name__}: table {table!r} is declared twice")
        kind = Kind(
            name=name,
            table=table,
            struct=struct,
            columns=columns,
            entity=entity,
            source=source,
            meaning=" ".join(struct.__doc__.split()),
            foreign=foreign,
            recognised_by=tuple(frozenset(group) for group in recognised_by),
            indexes=indexes,
            interval_s=interval_s,
            most_per_s=most_per_s,
            matters=matters,
            lasting=lasting,
            by_name=types.MappingProxyType(by_name),
        )
        KINDS.add(name, kind)
        return struct

    return declare


def kind_of(struct: type[Event]) -> Kind:
    """The kind that a struct declares."""
    return KINDS.declared[str(struct.__struct_config__.tag)]


_STORAGE: Mapping[type, StorageType] = {int: "INTEGER", float: "REAL", str: "TEXT", bool: "BOOLEAN"}


def _columns(struct: type[Event]) -> list[Column]:
    hints = _annotations(struct)
    fields, defaults = struct.__struct_fields__, struct.__struct_defaults__  # of the last fields
    first = len(fields) - len(defaults)
    without = {name for name, default in zip(fields[first:], defaults, strict=True) if default is msgspec.NODEFAULT}
    return [_column(name, hints[name], required=name in without or name in fields[:first]) for name in fields]


def _annotations(struct: type[Event]) -> Mapping[str, Any]:
    """The types of the fields by name.

    Our own modules have no ``from __future__ import annotations``: to compile 1,200 strings would take longer than all
    else at the start of a command.
    """
    declared: dict[str, Any] = {}
    for base in reversed(struct.__mro__):
        declared |= inspect.get_annotations(base)
    if any(isinstance(hint, str) for name, hint in declared.items() if name != "timestamp"):
        return get_type_hints(struct, include_extras=True)
    return declared | {"timestamp": EpochNs}


def _column(name: str, hint: Any, *, required: bool) -> Column:
    if name == "timestamp":
        hint = Annotated[hint, Label("ns"), Means("nanoseconds since the Unix epoch")]
    base, notes = _unwrap(hint)
    choices: tuple[str, ...] = ()
    if get_origin(base) is Literal:
        choices, base = get_args(base), str
    if base not in _STORAGE:
        raise TypeError(f"column {name!r}: {base!r} cannot be stored")
    semantics = [note for note in notes if isinstance(note, Semantics)]
    if len(semantics) != 1:
        raise TypeError(f"column {name!r} must be one of Counter, Gauge, Delta, Label")
    return Column(
        name=name,
        type=_STORAGE[base],
        semantics=semantics[0],
        unit=semantics[0].unit,
        meaning="; ".join(note.text for note in notes if isinstance(note, Means)),
        aliases=tuple(alias for note in notes if isinstance(note, Aka) for alias in note.names),
        scaled=tuple(note for note in notes if isinstance(note, Scaled)),
        choices=choices,
        unsigned64=any(isinstance(note, Unsigned64) for note in notes),
        required=required,
        flagged=tuple(note for note in notes if isinstance(note, Flagged)),
        spoken=next((note for note in notes if isinstance(note, Spoken)), None),
    )


def _unwrap(hint: Any) -> tuple[Any, list[Any]]:
    """Strip ``Annotated`` and ``| None``; return the plain type and all metadata met on the way."""
    notes: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            notes.extend(more)
        elif get_origin(hint) in (Union, types.UnionType):
            alternatives = [part for part in get_args(hint) if part is not type(None)]
            if len(alternatives) != 1:
                raise TypeError(f"{hint!r} is not one type or None")
            hint = alternatives[0]
        else:
            return hint, notes
