"""Times and durations as people and programs write them, turned into nanoseconds.

A time is

* a timezone-aware ``datetime``; a naive one is local time (its ``fold`` says which of the two,
  when a clock was set back),
* an ``int``: nanoseconds since the Unix epoch (0 stands for "from the beginning"),
* text: ``now``, ``15m`` or ``1h30m`` (that long ago), ``2026-11-23``, ``2026-11-23T14:00[:05[.25]]`` (also with a
  space; local, or with ``Z`` or ``+01:00`` behind it; to the nanosecond), ``14:05[:30]`` (the last time a local clock
  showed that; as the end of a range, the first time after its start), or nanoseconds in digits.

Text without a zone is local time, or UTC within :func:`kernelsight.moments.in_utc`. What
:func:`kernelsight.moments.format_time` shows is read as the same nanosecond.
"""

from __future__ import annotations

import re
import time as clock
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal

from kernelsight.errors import UsageError
from kernelsight.events.declare import EARLIEST_EPOCH_NS, EARLIEST_UNSET_NS, INT64_MAX
from kernelsight.moments import format_time, is_utc, shown_clock, to_next_second, to_second

Time = datetime | int | str
Duration = timedelta | int | str

ACCEPTED = (
    "a datetime, nanoseconds since the epoch, 'now', '15m' or '1h30m' (ago), '14:05', '2026-11-23 14:00', "
    "or '2026-11-23T14:00:05+01:00'"
)
ACCEPTED_DURATIONS = "a timedelta, nanoseconds, or text such as '250ms', '10s', '15m', '1h30m', '2d'"

_MICROSECOND = timedelta(microseconds=1)
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
    "y": 31_536_000_000_000_000,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d|w|y)\s*", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?", re.ASCII)
_FRACTION = re.compile(r"(?<=\d\d)[.,](\d{1,9})(?!\d)", re.ASCII)
_BEFORE_ZONE = re.compile(r"\s+(?=(?:Z|UTC|[+-]\d\d(?::?\d\d){0,2})$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From ``start_ns`` to ``end_ns``, both included, in ns since the epoch."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if self.end_ns < self.start_ns:
            raise UsageError(
                f"the range ends ({format_time(self.end_ns)}) before it starts ({format_time(self.start_ns)})"
            )

    @property
    def length_ns(self) -> int:
        """How long it is; a range of one moment has the length 1."""
        return self.end_ns - self.start_ns + 1

    def __str__(self) -> str:
        """From when to when, as times are shown, so that both can be pasted."""
        return f"from {to_second(self.start_ns)} to {to_next_second(self.end_ns)}"


EVERYTHING = TimeRange(0, INT64_MAX)


def time_range(start: Time, end: Time = "now", *, now_ns: int | None = None) -> TimeRange:
    """Make a range from any two times; the clock that tells ``now`` is read once.

    Raises:
        UsageError: one of them is not a time, or the range ends before it starts.
    """
    now_ns = clock.time_ns() if now_ns is None else now_ns
    start_ns = parse_time(start, now_ns=now_ns)
    if isinstance(end, str) and _CLOCK.fullmatch(end.strip()):
        return TimeRange(start_ns, _clock_time(end.strip(), start_ns, forward=True))
    return TimeRange(start_ns, parse_time(end, now_ns=now_ns))


def parse_time(value: Time, *, now_ns: int | None = None) -> int:
    """Nanoseconds since the epoch of one time in any accepted form.

    Raises:
        UsageError: it is not a time; the message says what is.
    """
    if isinstance(value, datetime):
        return _from_datetime(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _from_number(value, clock.time_ns() if now_ns is None else now_ns)
    if isinstance(value, str):
        return _from_text(value.strip(), clock.time_ns() if now_ns is None else now_ns)
    raise UsageError(f"{value!r} is not a time; give {ACCEPTED}")


def parse_duration(value: Duration) -> int:
    """Nanoseconds of a duration.

    Raises:
        UsageError: it is not a duration, or a negative one.
    """
    ns: int | None = None
    if isinstance(value, timedelta):
        ns = value // _MICROSECOND * 1_000
    elif isinstance(value, int) and not isinstance(value, bool):
        ns = value
    elif isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        ns = int(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
    if ns is None or not 0 <= ns <= INT64_MAX:
        raise UsageError(f"{value!r} is not a duration; give {ACCEPTED_DURATIONS}")
    return ns


def _from_datetime(value: datetime) -> int:
    """To the microsecond exactly; what lies before 1970 or beyond 64 bits becomes the first or last moment there is."""
    if value.year < 1969:
        return 0
    if value.year > 2262:
        return INT64_MAX
    # timestamp() and not astimezone(), which differ for a local time that never was because clocks were set forward;
    # of whole seconds, because it is a float.
    seconds = int(value.replace(microsecond=0).timestamp())
    return min(max(0, seconds * 1_000_000_000 + value.microsecond * 1_000), INT64_MAX)


def _from_number(value: int, now_ns: int) -> int:
    """As it is, where it can be nothing but nanoseconds; a machine's clock that was never set reads few of them."""
    earliest_ns = EARLIEST_UNSET_NS if now_ns >= EARLIEST_EPOCH_NS else 0
    if value == 0 or earliest_ns <= value <= INT64_MAX:
        return value
    raise UsageError(f"{value} is not in nanoseconds since the epoch (19 digits today); give {ACCEPTED}")


def _from_text(text: str, now_ns: int) -> int:
    if text.lower() == "now":
        return now_ns
    if _DURATION.fullmatch(text):
        return max(0, now_ns - parse_duration(text))
    if _CLOCK.fullmatch(text):
        return _clock_time(text, now_ns, forward=False)
    if text.isascii() and text.isdigit() and 8 < len(text) <= 20:  # up to 8 digits it is a date, 20261123
        return _from_number(int(text), now_ns)
    try:
        return _from_iso(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time; give {ACCEPTED}") from error


def _from_iso(text: str) -> int:
    """A date, with or without a time and a zone; the digits of a fraction that a datetime cannot hold are added."""
    text, ns = _without_fraction(_BEFORE_ZONE.sub("", text).upper())
    if text.endswith("UTC"):
        text = f"{text[:-3]}Z"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None and is_utc():
        moment = moment.replace(tzinfo=UTC)
    return min(_from_datetime(moment) + ns, INT64_MAX)


def _without_fraction(text: str) -> tuple[str, int]:
    """A text without the fraction of its seconds, and the fraction in ns."""
    match = _FRACTION.search(text)
    if match is None:
        return text, 0
    return text[: match.start()] + text[match.end() :], int(match[1].ljust(9, "0"))


def _clock_time(text: str, around_ns: int, *, forward: bool) -> int:
    """The moment nearest to another, before or after it, at which clocks show this time of day."""
    whole, ns = _without_fraction(text)
    hours, _, rest = whole.partition(":")
    try:
        wanted = time_of_day.fromisoformat(f"{int(hours):02d}:{rest}")
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time of day; give {ACCEPTED}") from error
    today = shown_clock(around_ns).date()
    zone = UTC if is_utc() else None
    moments = [
        _from_datetime(datetime.combine(today + timedelta(days=days), wanted.replace(fold=fold), zone)) + ns
        for days in (-1, 0, 1)
        for fold in (0, 1)
    ]
    if forward:
        return min(moment for moment in moments if moment >= around_ns)
    return max(moment for moment in moments if moment <= around_ns)
