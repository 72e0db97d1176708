"""Stamps that are text: RFC 3339 and what is like it, read exactly; every other form refused by its name.

A form is read if it means one moment and nothing else. The error names any other form, so that the author of the
collector knows what to change.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

from kernelsight.events.declare import EARLIEST_EPOCH_NS, INT64_MAX

LONGEST_STAMP = 48
"""No stamp that is read is longer; a longer text is not looked at."""

PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")

COMPACT_DATE = re.compile(
    r"(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])([0-5][0-9]){2}([0-9]{3})?"
)
"""A date and time of digits alone, which is a number as well."""

_NS_PER_S = 1_000_000_000
_FRACTION_DIGITS = 9

_DATE_AND_TIME = re.compile(
    r"""(?P<year>\d{4})(?P<dash>-?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)[Tt\ ]
    (?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,30}))?)?
    \ ?(?P<zone>[Zz]|UTC|GMT|(?P<sign>[+-])(?P<zone_hour>\d\d):?(?P<zone_minute>\d\d)?)?""",
    re.VERBOSE | re.ASCII,
)

_MOMENT = ("year", "month", "day", "hour", "minute", "second")
_ZONE = ("zone", "sign", "zone_hour", "zone_minute")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AFTER_A_LEAP_SECOND = {(1, 1, 0, 0, 0), (7, 1, 0, 0, 0)}
"""Month to second of the moments, in UTC, before which one may be inserted. In Unix time it has their number."""

_REFUSED_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (form, re.compile(pattern, re.VERBOSE | re.ASCII | re.IGNORECASE))
    for form, pattern in (
        ("a time of day without a date", r"T?\d{1,2}:\d\d(:\d\d([.,]\d+)?)?\s*([ap]m|z|utc|[+-]\d\d:?\d\d)?"),
        ("a date without a time of day", r"\d{4}-\d\d(-\d\d)?|\d{4}/\d\d/\d\d"),
        ("a week date of ISO 8601", r"\d{4}-?W\d\d.*"),
        ("an ordinal date of ISO 8601", r"\d{4}-\d{3}(\D.*)?"),
        ("a number with thousands separators", r"[+-]?\d{1,3}([,_' ]\d{3})+([.,]\d+)?"),
        ("a number with a decimal comma", r"[+-]?\d+,\d+"),
        ("a hexadecimal number", r"0x[0-9a-f]+"),
        ("the form of ctime(3), without a time zone", r"[a-z]{3}\ [a-z]{3}\ +\d{1,2}\ \d\d:\d\d:\d\d.*\d{4}"),
        ("the form of e-mail (RFC 5322)", r"([a-z]{3},\s)?\d{1,2}\s[a-z]{3}\s\d{4}\s\d\d:\d\d.*"),
        ("the form of syslog (RFC 3164), without a year", r"[a-z]{3}\s+\d{1,2}\s\d\d:\d\d:\d\d.*"),
        ("the form of a web server's log", r"\[?\d{1,2}/[a-z]{3}/\d{4}:\d\d:\d\d.*"),
        ("the form of the kernel's log", r"\[\s*\d+\.\d+\]"),
        (
            "a date with slashes or dots, so the order of day and month is not known",
            r"\d{1,4}[/.]\d{1,2}[/.]\d{1,4}(\D.*)?",
        ),
        ("a duration", r"P[\dTYMDHS.,W]+|(\d+(\.\d+)?\s?(ns|us|ms|s|m|h|d))+"),
        ("a time of 12 hours", r"\d{4}-\d\d-\d\d.\d{1,2}:\d\d.*[ap]\.?m\.?"),
        ("a time with the name of a time zone", r"\d{4}-\d\d-\d\d.\d\d:\d\d.*(\s[a-z]{2,5}|\[[a-z/_+-]+\]|/[a-z_]+)"),
        ("not a finite number", r"[+-]?(nan|inf|infinity)"),
    )
)


class UnreadableTimeError(ValueError):
    """The stamp has no reading; the message is the reason."""


def read_text(text: str, earliest_ns: int = EARLIEST_EPOCH_NS) -> int:
    """The nanoseconds since the epoch of a date and a time of day; without a zone they are local.

    Digits beyond the ninth of a second are cut off. A leap second has the number of the second after it, as POSIX has
    it ("Seconds Since the Epoch").

    Args:
        text: the stamp.
        earliest_ns: moments before this one are out of range.

    Raises:
        UnreadableTimeError: it is of another form, or no moment, or one that cannot be stored.
    """
    match = _DATE_AND_TIME.fullmatch(text)
    if match is None or (match["dash"] == "") != (match["colon"] == ""):
        raise UnreadableTimeError(f"timestamp is not a time{_form_of(text)}")
    if match["hour"] == "24":
        raise UnreadableTimeError("timestamp is not a time of RFC 3339: hour 24")
    whole_s = _whole_seconds(match.group(*_MOMENT), _Zone(*match.group(*_ZONE)))
    epoch_ns = whole_s * _NS_PER_S + _nanoseconds(match["fraction"])
    if not earliest_ns <= epoch_ns <= INT64_MAX:
        raise UnreadableTimeError("timestamp out of range")
    return epoch_ns


class _Zone(NamedTuple):
    """A time zone as it is written; nothing of it is there where a time is local."""

    text: str | None
    sign: str | None
    hour: str | None
    minute: str | None


# Lines come by the thousand in one second.
@lru_cache(maxsize=1024)
def _whole_seconds(moment: tuple[str | None, ...], zone: _Zone) -> int:
    year, month, day, hour, minute, second = (int(part or 0) for part in moment)
    is_leap_second = second == 60
    try:
        # Without a zone it is local time.
        local = datetime(year, month, day, hour, minute, second - is_leap_second)  # noqa: DTZ001
        utc = int(local.replace(tzinfo=_offset(zone)).timestamp()) if zone.text else None
        first, last = (int(local.replace(fold=fold).timestamp()) for fold in (0, 1))
    except (ValueError, OverflowError) as error:
        raise UnreadableTimeError(f"timestamp is not a date: {error}") from error
    if utc is not None:
        return _of_utc(utc, is_leap_second=is_leap_second)
    if is_leap_second:
        raise UnreadableTimeError("timestamp is second 60 without a time zone: leap seconds are those of UTC")
    if first != last:
        how_often = "twice" if last > first else "never"
        raise UnreadableTimeError(f"timestamp without a zone, whose local time comes {how_often}: the clocks change")
    return first


def _of_utc(seconds: int, *, is_leap_second: bool) -> int:
    after = _EPOCH + timedelta(seconds=seconds + 1)
    if is_leap_second and after.timetuple()[1:6] not in _AFTER_A_LEAP_SECOND:
        raise UnreadableTimeError("timestamp is second 60, and there is no leap second at that time")
    return seconds + is_leap_second


def _offset(zone: _Zone) -> timezone:
    if zone.sign is None or zone.hour is None:
        return UTC
    minutes = int(zone.minute or 0)
    if minutes > 59:
        raise ValueError("the minutes of the offset from UTC must be in 0..59")
    offset = timedelta(hours=int(zone.hour), minutes=minutes)
    return timezone(-offset if zone.sign == "-" else offset)


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "0")[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0"))


def _form_of(text: str) -> str:
    form = next((form for form, pattern in _REFUSED_FORMS if pattern.fullmatch(text)), None)
    return f": {form}" if form else ""
