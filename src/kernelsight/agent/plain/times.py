"""Which time a question is about: `around 14:05`, `from 14:00 to 14:10`, `in the last 10 minutes`, `an hour ago`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from kernelsight.moments import shown_clock
from kernelsight.query.times import TimeRange, parse_duration, parse_time

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND

_MOMENT = r"((?:\d{4}-\d\d-\d\d[ T])?\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?|now)"
_LENGTH = (
    r"(?:(\d+(?:\.\d+)?|an?|one|few|couple of)\s*)?(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d|weeks?|w)\b"
)
_WORDS = {"a": 1.0, "an": 1.0, "one": 1.0, "few": 5.0, "couple of": 2.0}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a question says about time."""

    ranges: tuple[TimeRange, ...]
    """In their order; empty where it says nothing."""
    rest: str
    """The question without it."""


def spoken(text: str, now_ns: int) -> Spoken:
    """Find the times in a question.

    Raises:
        UsageError: something that looks like a time is none, such as 25:00.
    """
    found: list[tuple[int, TimeRange]] = []
    for pattern, meaning in _FORMS:
        for match in pattern.finditer(text):
            found.append((match.start(), meaning(match, now_ns)))
            # Blanks, so that what comes later keeps its place.
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return Spoken(tuple(when for _, when in sorted(found, key=lambda one: one[0])), " ".join(text.split()))


def named_in(text: str, otherwise: TimeRange) -> TimeRange:
    """The time that a question is about, all that it names together; the given one where it names none.

    Raises:
        UsageError: as of :func:`spoken`.
    """
    ranges = spoken(text, time.time_ns()).ranges
    if not ranges:
        return otherwise
    return TimeRange(min(one.start_ns for one in ranges), max(one.end_ns for one in ranges))


def _between(match: re.Match[str], now_ns: int) -> TimeRange:
    start, end = _at(match[1], now_ns), _at(match[2], now_ns)
    # A time of day is the last one there was; from 23:50 to 00:10 the end is, and from 14:00 to 15:00 both are.
    day = 24 * 60 * _MINUTE
    return TimeRange(start if start <= end else start - day, end)


def _around(match: re.Match[str], now_ns: int) -> TimeRange:
    """A minute that was named, with one to either side; half a minute to either side of a second."""
    moment = _at(match[1], now_ns)
    if match[1].count(":") >= 2 or match[1] == "now":
        return TimeRange(moment - 30 * _SECOND, min(moment + 30 * _SECOND, now_ns))
    return TimeRange(moment - _MINUTE, max(moment, min(moment + 2 * _MINUTE - 1, now_ns)))


def _since(match: re.Match[str], now_ns: int) -> TimeRange:
    return TimeRange(_at(match[1], now_ns), now_ns)


def _last(match: re.Match[str], now_ns: int) -> TimeRange:
    return TimeRange(now_ns - _length_ns(match), now_ns)


def _ago(match: re.Match[str], now_ns: int) -> TimeRange:
    """So long ago, as exactly as the unit says."""
    length = _length_ns(match)
    slack = max(length // 10, 30 * _SECOND)
    return TimeRange(now_ns - length - slack, min(now_ns - length + slack, now_ns))


def _day(match: re.Match[str], now_ns: int) -> TimeRange:
    """By the local calendar, on which days may have 23 or 25 hours."""
    today = shown_clock(now_ns).date()
    midnight = _midnight(today)
    if match[0].lower() == "today":
        return TimeRange(midnight, now_ns)
    return TimeRange(_midnight(today - timedelta(days=1)), midnight - 1)


def _midnight(day: date) -> int:
    return parse_time(f"{day} 00:00")


def _length_ns(match: re.Match[str]) -> int:
    number, unit = match[1], match[2][0].lower()  # a unit of a duration is the first letter of the word
    count = 1.0 if number is None else _WORDS.get(number.lower()) or float(number)
    return parse_duration(f"{count:g}{unit}")


def _at(text: str, now_ns: int) -> int:
    return parse_time(text, now_ns=now_ns)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], int], TimeRange]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (rf"\b(?:between|from)\s+{_MOMENT}\s+(?:and|to|until|till)\s+{_MOMENT}", _between),
        (rf"(?<![\d:]){_MOMENT}\s*(?:-|–|to|until)\s*{_MOMENT}", _between),  # noqa: RUF001 - as people type it
        (rf"\b(?:since|after)\s+{_MOMENT}", _since),
        (rf"\b{_LENGTH}\s+ago\b", _ago),
        (rf"\b(?:(?:in|over|within|during|for|since)\s+)?(?:the\s+)?(?:last|past|previous)\s+{_LENGTH}", _last),
        (r"\b(?:today|yesterday)\b", _day),
        (rf"\b(?:around|at|near|about|by)\s+{_MOMENT}", _around),
        (rf"(?<![\d:]){_MOMENT}(?![\d:])", _around),
    )
)
