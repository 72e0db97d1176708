"""The wire: NDJSON lines to and from events, made from all declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, reduce
from operator import or_
from typing import Any

import msgspec

from kernelsight.events.declare import KINDS, Event, Kind


def kinds() -> Mapping[str, Kind]:
    """All kinds by name. A new module in this package is found by itself."""
    return KINDS.all()


@cache
def tables() -> Mapping[str, Kind]:
    """All kinds by the public name of their table."""
    return {kind.table: kind for kind in kinds().values()}


@cache
def decoder() -> msgspec.json.Decoder[Event]:
    """Decoder of our own lines: strict, so that a line in other words raises and is looked at."""
    return msgspec.json.Decoder(any_event())


@cache
def any_event() -> Any:
    """The type of an event of any kind, which its tag tells."""
    return reduce(or_, (kind.struct for kind in kinds().values()))


_ENCODER = msgspec.json.Encoder()


def encode_lines(batch: Iterable[Event]) -> bytes:
    """Encode events as NDJSON, one whole line each, with a newline at the end of every line."""
    return _ENCODER.encode_lines(list(batch))
