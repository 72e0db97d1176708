"""Stamps that are text: RFC 3339 and what is like it, read exactly; every other form refused by its name.

A form is read where it means one moment and nothing else. What is refused is named, so that whoever
prints it knows what to change.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

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

    Digits beyond the ninth of a second are cut off.

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
    if match["second"] == "60":
        raise UnreadableTimeError("timestamp is second 60: a leap second is no Unix time")
    epoch_ns = _whole_seconds(match) * _NS_PER_S + _nanoseconds(match["fraction"])
    if not earliest_ns <= epoch_ns <= INT64_MAX:
        raise UnreadableTimeError("timestamp out of range")
    return epoch_ns


def _whole_seconds(match: re.Match[str]) -> int:
    parts = [int(match[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
    try:
        moment = datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - without a zone it is local time
        if match["zone"]:
            return int(moment.replace(tzinfo=_zone(match)).timestamp())
        first, second = (int(moment.replace(fold=fold).timestamp()) for fold in (0, 1))
    except (ValueError, OverflowError) as error:
        raise UnreadableTimeError(f"timestamp is not a date: {error}") from error
    if first != second:
        how_often = "twice" if second > first else "never"
        raise UnreadableTimeError(f"timestamp without a zone, whose local time comes {how_often}: the clocks change")
    return first


def _zone(match: re.Match[str]) -> timezone:
    if not match["sign"]:
        return UTC
    minutes = int(match["zone_minute"] or 0)
    if minutes > 59:
        raise ValueError("the minutes of the offset from UTC must be in 0..59")
    offset = timedelta(hours=int(match["zone_hour"]), minutes=minutes)
    return timezone(-offset if match["sign"] == "-" else offset)


def _nanoseconds(fraction: str | None) -> int:
    return int((fraction or "0")[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0"))


def _form_of(text: str) -> str:
    form = next((form for form, pattern in _REFUSED_FORMS if pattern.fullmatch(text)), None)
    return f": {form}" if form else ""
