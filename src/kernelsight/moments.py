"""Moments as text: the one place that turns nanoseconds since the epoch into what people read.

A moment is shown as ISO 8601 in local time with its offset, ``2026-11-23T14:05:03+01:00``, which is RFC 3339 as well;
with `--utc` (:func:`in_utc`) it is shown in UTC, ``2026-11-23T13:05:03Z``, and text without a zone is taken as UTC.
A fraction has three, six or nine digits, as many as say it exactly, so that every text shown is read as the same
nanosecond (:mod:`kernelsight.query.times` reads it).
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_SECOND = 1_000_000_000
_UTC: ContextVar[bool] = ContextVar("_UTC", default=False)
STAMPS: Mapping[str, str] = {
    **{f"{name}_ns": name for name in ("start", "end", "onset", "last_seen", "first", "last")},
    "timestamp": "time",
    "last_timestamp": "last_time",
    "value_ns": "value_time",
    "incident": "incident_time",
}
"""Keys of JSON whose numbers are ns since the epoch, and the keys of their texts."""


@contextmanager
def in_utc() -> Iterator[None]:
    """Show moments in UTC, and take times without a zone as UTC, until the end of the block."""
    before = _UTC.set(True)
    try:
        yield
    finally:
        _UTC.reset(before)


def is_utc() -> bool:
    """Whether moments are shown in UTC now."""
    return _UTC.get()


def format_time(timestamp_ns: int) -> str:
    """A moment, to the nanosecond exactly."""
    return _text(timestamp_ns, utc=_UTC.get())


def format_utc(timestamp_ns: int) -> str:
    """A moment in UTC, whatever is shown to people: for models and machines."""
    return _text(timestamp_ns, utc=True)


def to_second(timestamp_ns: int) -> str:
    """A moment without its fraction."""
    return format_time(timestamp_ns // _SECOND * _SECOND)


def to_next_second(timestamp_ns: int) -> str:
    """The first whole second that is not before a moment: the end of a range that is shown without fractions."""
    return to_second(timestamp_ns + _SECOND - 1)


def time_of_day(timestamp_ns: int) -> str:
    """A moment without its date and fraction, ``14:05:03+01:00``: only where the date stands beside it."""
    return to_second(timestamp_ns).partition("T")[2]


def clock_text(timestamp_ns: int, *, beside_ns: int) -> str:
    """A moment in a sentence, to the second: the time of day, with its date where that is not the date beside it.

    The zone is that in which moments are shown; text in UTC says so.

    Args:
        timestamp_ns: the moment.
        beside_ns: a moment that stands beside the sentence in full, such as the end of its window.
    """
    moment = shown_clock(timestamp_ns)
    date = "" if moment.date() == shown_clock(beside_ns).date() else f"{moment:%Y-%m-%d} "
    return f"{date}{moment:%H:%M:%S}{' UTC' if _UTC.get() else ''}"


def utc_seconds(timestamp_ns: int) -> str:
    """As SQLite's ``datetime(…, 'unixepoch')`` prints it, with microseconds where there are any.

    The documented query functions give it, as the documented SQL does.
    """
    seconds, rest = divmod(timestamp_ns, _SECOND)
    moment = datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1_000)
    return moment.replace(tzinfo=None).isoformat(" ")


def file_stamp(timestamp_ns: int) -> str:
    """A time in UTC for the name of a file, such as `20261123T140503`."""
    return datetime.fromtimestamp(timestamp_ns // 1_000_000_000, tz=UTC).strftime("%Y%m%dT%H%M%S")


def wall_clock(timestamp_ns: int) -> datetime:
    """What clocks on the wall here show, to the second, also where moments are shown in UTC."""
    return datetime.fromtimestamp(timestamp_ns // _SECOND, tz=UTC).astimezone()


def shown_clock(timestamp_ns: int) -> datetime:
    """The same, in the zone in which moments are shown."""
    moment = datetime.fromtimestamp(timestamp_ns // _SECOND, tz=UTC)
    return moment if _UTC.get() else moment.astimezone()


def with_texts(value: Any) -> Any:
    """JSON in the making: each stamp in it (``start_ns`` …) gets its moment as RFC 3339 beside it (``start``)."""
    if isinstance(value, Mapping):
        told: dict[Any, Any] = {}
        for name, part in value.items():
            told[name] = with_texts(part)
            text = STAMPS.get(name)
            if text is not None and text not in value and (part is None or isinstance(part, int)):
                told[text] = None if part is None else format_time(part)
        return told
    if isinstance(value, (list, tuple)):
        return [with_texts(part) for part in value]
    return value


def _text(timestamp_ns: int, *, utc: bool) -> str:
    seconds, rest = divmod(timestamp_ns, _SECOND)
    # Not by way of datetime, which takes three times as long: every row that is read has such a text.
    parts = clock.gmtime(seconds) if utc else clock.localtime(seconds)
    head = clock.strftime("%Y-%m-%dT%H:%M:%S", parts)
    if rest:
        digits = f"{rest:09d}"
        while digits.endswith("000"):
            digits = digits[:-3]
        head = f"{head}.{digits}"
    return f"{head}Z" if utc else head + _offset(parts.tm_gmtoff)


def _offset(seconds: int) -> str:
    minutes, rest = divmod(abs(seconds), 60)
    text = f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{rest:02d}" if rest else text
