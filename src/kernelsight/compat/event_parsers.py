"""The documented ``event_parsers``: which kind an event is, and the event in our columns and units.

All of it is :mod:`kernelsight.ingest.foreign`, which the daemon reads foreign lines with; only the documented
names are here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from kernelsight.ingest.foreign import Translated, UnusableLineError, translate
from kernelsight.ingest.identify import UNKNOWN, kinds_said
from kernelsight.ingest.times import KEYS, Clocks
from kernelsight.ingest.vocabulary import TYPE_KEYS
from kernelsight.query.rows import unwrapped


class EventType(StrEnum):
    """The documented types; all kinds that are not among them are UNKNOWN here."""

    SYSCALL = "syscall"
    PAGE_FAULT = "page_fault"
    IO_LATENCY = "io_latency"
    SCHED = "sched"
    MEMORY = "memory"
    LOAD = "load"
    BLOCK = "block"
    NETWORK = "network"
    TCP = "tcp"
    TCP_RETRANS = "tcp_retrans"
    UNKNOWN = "unknown"


_TYPES = {member.value: member for member in EventType} | {
    "sched_process": EventType.SCHED,
    "tcp_retransmit": EventType.TCP_RETRANS,
}
"""Our kinds, and the documented type of each."""


def identify_event_type(event: Mapping[str, Any]) -> EventType:
    """The type of an event: its fields decide, its ``type`` helps, and has the word where no field says anything."""
    try:
        kind = translate(_stamped(event), Clocks.read()).kind.name
    except UnusableLineError as error:
        kind = error.kind
    return _type_called(event) if kind == UNKNOWN else _TYPES.get(kind, EventType.UNKNOWN)


def _type_called(event: Mapping[str, Any]) -> EventType:
    """The type that ``type`` names; UNKNOWN where it names none, or more than one."""
    kinds = kinds_said(next((event[key] for key in TYPE_KEYS if isinstance(event.get(key), str)), None))
    types = {_TYPES.get(kind.name, EventType.UNKNOWN) for kind in kinds}
    return types.pop() if len(types) == 1 else EventType.UNKNOWN


def parse_json_line(line: str) -> tuple[EventType, dict[str, Any]] | None:
    """The type of one JSON line and the event as it stands there; None where it is not a JSON object."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return (identify_event_type(event), event) if isinstance(event, dict) else None


def normalize_event(event_type: EventType | str, event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with our columns beside what it had; the caller's dict stays as it is.

    Milli- and microseconds become ``latency_ns``, nested objects columns, other names ours, and any stamp
    nanoseconds since the epoch. An event of type UNKNOWN comes back as it is.

    Raises:
        ValueError: its fields are those of another type, or a value cannot be what its name says.
    """
    if EventType(event_type) is EventType.UNKNOWN:
        return dict(event)
    line = translated(EventType(event_type).value, _stamped(event))
    ours = unwrapped(line.kind, msgspec.structs.asdict(line.event))
    if not _has_stamp(event):
        del ours["timestamp"]
    kept = {name: value for name, value in event.items() if not isinstance(value, dict)}
    return kept | {name: value for name, value in ours.items() if value is not None}


def translated(word: str, event: Mapping[str, Any]) -> Translated:
    """An event that is said to be of one kind, read as a line of that type would be.

    Raises:
        ValueError: it has no stamp, its fields are those of another type, or a value is wrong.
    """
    line = translate({**event, "type": word}, Clocks.read())
    if _TYPES.get(line.kind.name) is not _TYPES.get(word, EventType.UNKNOWN):
        raise ValueError(f"these are the fields of {line.kind.name!r}, not of {word!r}")
    return line


def _has_stamp(event: Mapping[str, Any]) -> bool:
    inner = [value for value in event.values() if isinstance(value, dict)]
    return any(key in fields for fields in (event, *inner) for key in KEYS)


def _stamped(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event with a stamp, so that one without can be identified and normalised too."""
    return event if _has_stamp(event) else {**event, "timestamp": time.time_ns()}
