"""Lines in somebody else's words: flatten, identify, normalise, validate.

Others' lines are partial, nested, in other units and under other names; so a line is identified by
what it has before it is validated. Zero is not missing; null and absent are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from kernelsight.events import wire
from kernelsight.events.declare import EARLIEST_EPOCH_NS, Event, Kind, Label
from kernelsight.ingest.identify import UNKNOWN, UnidentifiedError, identify
from kernelsight.ingest.notations import UnreadableTimeError
from kernelsight.ingest.parts import PartError, keep_apart
from kernelsight.ingest.times import DESCRIPTIONS, KEYS, Clocks, find_stamp, read_stamp
from kernelsight.ingest.values import BelowZeroError, Stored, WrongValueError, convert, truth
from kernelsight.ingest.vocabulary import (
    TAGS,
    TYPE_KEYS,
    WRAPPERS,
    Meaning,
    Vocabulary,
    all_names,
    vocabulary,
)

_DEEPEST = 4
"""Levels of nesting that are looked into; collectors use two."""

NOT_FIELDS = frozenset((*TYPE_KEYS, *KEYS, *DESCRIPTIONS, *WRAPPERS))
"""Names that are no measurement and no label."""


class UnusableLineError(ValueError):
    """The line cannot become an event.

    Attributes:
        kind: what it was taken for, `unknown` where that could not be told.
    """

    def __init__(self, reason: str, kind: str = UNKNOWN) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Translated:
    """A foreign line as one of our events."""

    event: Event
    kind: Kind
    ignored: int
    """Fields that no column of the kind stands for."""
    arrival: bool
    """Its stamp is of another boot or machine, so the time of arrival stands for it."""
    below_zero: int
    """Values that are NULL in the event, because they fell below zero and show as numbers near 2^32 or 2^64."""


def translate(line: object, clocks: Clocks) -> Translated:
    """Make an event of a decoded line.

    Raises:
        UnusableLineError: it is no event, with the reason and the kind it was taken for.
    """
    if not isinstance(line, dict):
        raise UnusableLineError("not an object")
    fields, objects = flattened(measurement_named(line))
    word = next((word for key in TYPE_KEYS if isinstance(word := fields.get(key), str)), None)
    names = frozenset(name for name, value in fields.items() if value is not None and name not in NOT_FIELDS)
    try:
        kind = identify(word, names)
    except UnidentifiedError as error:
        raise UnusableLineError(str(error)) from None
    words = vocabulary(kind)
    others = {name: fields[name] for name in names if name not in words}
    try:
        stamp = find_stamp(fields, clocks)
        values, below = _normalise(kind, fields, names)
        _refuse_nothing(kind, values, below)
        if objects:
            _refuse_objects(words, names, objects)
        if others and kind.interval_s is not None:
            keep_apart(kind, values, others)
        event = made(kind.struct, stamp.epoch_ns, values)
    except (UnreadableTimeError, PartError) as error:
        raise UnusableLineError(str(error), kind.name) from None
    except (WrongValueError, msgspec.ValidationError) as error:
        raise UnusableLineError(f"wrong value: {error}", kind.name) from None
    if others and kind.interval_s is not None and all(_is_label(kind, name) for name in values):
        raise UnusableLineError("only labels, and no measurement under a known name", kind.name)
    return Translated(event, kind, len(others), stamp.arrival, len(below))


def measurement_named(line: Mapping[str, object]) -> Mapping[str, object]:
    """Beside tags and fields, as Telegraf has them, `name` is what was measured, and not an interface or a disk."""
    if TAGS.isdisjoint(line):
        return line
    name = line.get("name")
    tags = next((tags for key in TAGS if isinstance(tags := line.get(key), dict)), None)
    has_fields = any(isinstance(value, dict) for key, value in line.items() if key in WRAPPERS - TAGS)
    if tags is None or not has_fields or not isinstance(name, str) or any(key in line for key in TYPE_KEYS):
        return line
    named = {TYPE_KEYS[0]: name, **{key: value for key, value in line.items() if key != "name"}}
    if name == "docker_container_net" and isinstance(tags.get("network"), str):  # its word for an interface
        named["interface"] = tags["network"]
    return named


def _refuse_objects(words: Vocabulary, names: frozenset[str], objects: frozenset[str]) -> None:
    """An object where a column's value should be is no value, unless its fields are columns themselves."""
    for name in sorted(objects & words.keys()):
        if not any(inner.startswith(f"{name}_") and inner in words for inner in names):
            raise WrongValueError(f"{words[name][0].column.name}: expected a value, not an object")


def _refuse_nothing(kind: Kind, values: Mapping[str, Stored], below: list[str]) -> None:
    """A line that measures nothing but what fell below zero is kept as it came."""
    if below and all(_is_label(kind, name) for name in values):
        raise WrongValueError(f"{below[0]}: below zero, and the line has no other measurement")


def as_ours(text: bytes, line: object, clocks: Clocks) -> Event | None:
    """A line that is exactly ours but for a stamp of a clock that was never set; None for any other.

    Args:
        text: the line.
        line: what it says.
        clocks: the present.
    """
    timestamp = line.get("timestamp") if isinstance(line, dict) else None
    if not isinstance(timestamp, int) or isinstance(timestamp, bool) or not 0 < timestamp < EARLIEST_EPOCH_NS:
        return None
    try:
        stamp = read_stamp(timestamp, clocks)
        fields = {**msgspec.json.decode(text), "timestamp": EARLIEST_EPOCH_NS}
        if fields.keys() <= {"type", "timestamp"}:
            return None  # nothing but a stamp, which may as well be half of one
        event: Event = msgspec.convert(fields, wire.any_event())
    except (UnreadableTimeError, msgspec.ValidationError):
        return None
    event.timestamp = stamp.epoch_ns
    return None if stamp.arrival else event


def made(struct: type[Event], timestamp_ns: int, values: Mapping[str, object]) -> Event:
    """An event of any moment, also one of a clock that was never set; on the wire its type refuses such a stamp.

    Raises:
        msgspec.ValidationError: a value is not what its column holds.
    """
    event = msgspec.convert({"timestamp": max(timestamp_ns, EARLIEST_EPOCH_NS), **values}, struct)
    event.timestamp = timestamp_ns
    return event


def _is_label(kind: Kind, name: str) -> bool:
    return isinstance(kind.by_name[name].semantics, Label)


def flattened(line: Mapping[str, object]) -> tuple[dict[str, object], frozenset[str]]:
    """Fields by name (a wrapper adds nothing to it, `read` holds `read_...`), and the names of objects."""
    flat: dict[str, object] = {}
    objects: set[str] = set()
    _flatten_into(flat, objects, line, "", _DEEPEST)
    return flat, frozenset(objects)


def _flatten_into(
    flat: dict[str, object], objects: set[str], nested: Mapping[str, object], prefix: str, levels: int
) -> None:
    inner: list[tuple[str, Mapping[str, object]]] = []
    for key, value in nested.items():
        name = prefix + key
        if isinstance(value, dict) and name not in KEYS:
            inner.append((prefix if key in WRAPPERS else f"{name}_", value))
            objects.add(name)
        elif name not in flat or flat[name] is None:
            flat[name] = value
        elif value is not None and flat[name] != value and name in all_names():
            raise UnusableLineError(f"contradictory values of {name}")
    if not levels and inner:
        raise UnusableLineError("nested too deeply")
    for inner_prefix, value in inner:
        _flatten_into(flat, objects, value, inner_prefix, levels - 1)


def _normalise(kind: Kind, fields: Mapping[str, object], names: frozenset[str]) -> tuple[dict[str, Stored], list[str]]:
    """Our columns, each from the best of the names that mean it, and the columns whose values fell below zero."""
    words = vocabulary(kind)
    below: list[str] = []
    chosen: dict[str, tuple[float, Stored]] = {}
    for name in names:
        meant = words.get(name)
        if meant is None:
            continue
        try:
            rank, column, value = _first_that_takes(meant, name, fields[name])
        except BelowZeroError:
            below.append(meant[0].column.name)
            continue
        if value is not None and (column not in chosen or rank < chosen[column][0]):
            chosen[column] = rank, value
    return {column: value for column, (_, value) in chosen.items()}, below


def _first_that_takes(meant: tuple[Meaning, ...], name: str, value: object) -> tuple[float, str, Stored | None]:
    """A name can mean two columns (`syscall`: number or name); the value's type tells which."""
    reason = ""
    for meaning in meant:
        try:
            return meaning.rank, meaning.column.name, _value(meaning, name, value)
        except WrongValueError as error:
            reason = reason or str(error)
    raise WrongValueError(reason)


def _value(meaning: Meaning, name: str, value: object) -> Stored | None:
    if meaning.flagged is None:
        return convert(meaning.column, value, meaning.factor)
    return meaning.flagged.yes if truth(name, value) else meaning.flagged.no
