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

_MOMENT = r"((?:\d{4}-\d\d-\d\d[ T])?\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?|\bnow\b)"
_LENGTH = (
    r"(?:(\d+(?:\.\d+)?|half an?|an?|one|two|three|four|five|six|ten|fifteen|twenty|thirty|(?:a )?few|(?:a )?couple of)"
    r"\s*)?(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d|weeks?|w)\b"
)
_WORDS = {
    "a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "ten": 10.0,
    "fifteen": 15.0, "twenty": 20.0, "thirty": 30.0, "few": 5.0, "couple of": 2.0, "half an": 0.5, "half a": 0.5,
}  # fmt: skip
_CLOCK_12 = re.compile(r"\b(\d{1,2})(?::(\d\d))?\s*([ap])\.?m\b\.?", re.IGNORECASE)
_NAMED_HOURS = re.compile(r"\b(?:at |around |about )?(noon|midday|midnight)\b", re.IGNORECASE)
_BARE_HOUR = re.compile(
    r"\b(at|around|about|since|after)\s+(\d{1,2})\s*(?:o'?clock)?(?=\s*(?:\?|$|,|today|yesterday))", re.IGNORECASE
)
_FUTURE = re.compile(
    r"\btomorrow\b|\bnext\s+(?:second|minute|hour|day|week|month|year)s?\b|\btonight\b|"
    r"\bin\s+(?:\d+|an?|two|three|few)\s+(?:second|minute|hour|day|week|month|year)s?(?!\s+ago)\b",
    re.IGNORECASE,
)
_PARTS_OF_DAY = {"morning": (0, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (0, 6)}
"""Hours of a day; the night is that before the day."""
JUST_NOW_NS = 2 * _MINUTE


@dataclass(frozen=True, slots=True)
class SpokenTimes:
    """What a question says about time."""

    ranges: tuple[TimeRange, ...]
    """In their order; empty where it says nothing."""
    rest: str
    """The question without it."""


def spoken_times(text: str, now_ns: int) -> SpokenTimes:
    """Find the times in a question.

    Raises:
        UsageError: something that looks like a time is none, such as 25:00.
    """
    spans: list[tuple[int, TimeRange]] = []
    text = _with_clock_times(text)
    for pattern, meaning in _FORMS:
        for match in pattern.finditer(text):
            spans.append((match.start(), meaning(match, now_ns)))
            # Blanks keep the rest of the text in its place.
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return SpokenTimes(tuple(when for _, when in sorted(spans, key=lambda span: span[0])), " ".join(text.split()))


def named_in(text: str, otherwise: TimeRange) -> TimeRange:
    """The time that a question is about, all that it names together; the given one where it names none.

    Raises:
        UsageError: as of :func:`spoken`.
    """
    ranges = spoken_times(text, time.time_ns()).ranges
    if not ranges:
        return otherwise
    return TimeRange(min(span.start_ns for span in ranges), max(span.end_ns for span in ranges))


def is_future(text: str) -> bool:
    """Whether a question names a time that is still to come."""
    return _FUTURE.search(text) is not None


def _with_clock_times(text: str) -> str:
    """A text with its times of day as clocks show them: `2pm` is `14:00`, `noon` `12:00`, `at 14` `at 14:00`."""

    def of_12(match: re.Match[str]) -> str:
        hour = int(match[1]) % 12 + (12 if match[3].lower() == "p" else 0)
        return f"{hour:02d}:{match[2] or '00'}" if 1 <= int(match[1]) <= 12 else match[0]

    def of_name(match: re.Match[str]) -> str:
        return f"at {'00:00' if match[1].lower() == 'midnight' else '12:00'}"

    def of_hour(match: re.Match[str]) -> str:
        return f"{match[1]} {match[2]}:00"

    return _BARE_HOUR.sub(of_hour, _NAMED_HOURS.sub(of_name, _CLOCK_12.sub(of_12, text)))


def _between(match: re.Match[str], now_ns: int) -> TimeRange:
    start, end = _at(match[1], now_ns), _at(match[2], now_ns)
    # A time of day is the last one there was; from 23:50 to 00:10 the end is, and from 14:00 to 15:00 both are.
    day = 24 * 60 * _MINUTE
    return TimeRange(start if start <= end else start - day, end)


def _around(match: re.Match[str], now_ns: int) -> TimeRange:
    """A minute that was named, with one to either side; half a minute to either side of a second."""
    moment = _at(match[1], now_ns)
    if match[1].count(":") >= 2 or match[1] == "now":
        start = moment - 30 * _SECOND
        # A range in the future is kept whole, so that the answer can say so.
        return TimeRange(start, max(start, min(moment + 30 * _SECOND, now_ns)))
    return TimeRange(moment - _MINUTE, max(moment, min(moment + 2 * _MINUTE - 1, now_ns)))


def _since(match: re.Match[str], now_ns: int) -> TimeRange:
    start = _at(match[1], now_ns)
    return TimeRange(start, max(start, now_ns))


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
    if match[0].lower().endswith("today"):
        return TimeRange(midnight, now_ns)
    return TimeRange(_midnight(today - timedelta(days=1)), midnight - 1)


def _part_of_day(match: re.Match[str], now_ns: int) -> TimeRange:
    """This morning, yesterday evening, last night; of a part that is not over, what there was of it."""
    today = shown_clock(now_ns).date()
    said, part = match[1].lower(), match[2].lower()
    day = today - timedelta(days=1) if said == "yesterday" or (said == "last" and part != "night") else today
    first, last = _PARTS_OF_DAY[part]
    start = _midnight(day) + first * 60 * _MINUTE
    if said == "last":  # the night from yesterday to today
        start -= 2 * 60 * _MINUTE if part == "night" else 0
    return TimeRange(min(start, now_ns), max(min(_midnight(day) + last * 60 * _MINUTE - 1, now_ns), min(start, now_ns)))


def _just_now(match: re.Match[str], now_ns: int) -> TimeRange:
    del match
    return TimeRange(now_ns - JUST_NOW_NS, now_ns)


def _moment_of_day(match: re.Match[str], now_ns: int) -> TimeRange:
    """`yesterday at 14:00`, `14:00 yesterday`."""
    clock = match[1] or match[2]
    day = shown_clock(now_ns).date() - timedelta(days=1 if "yesterday" in match[0].lower() else 0)
    moment = parse_time(f"{day} {clock}")
    if clock.count(":") >= 2:
        return TimeRange(moment - 30 * _SECOND, moment + 30 * _SECOND)
    return TimeRange(moment - _MINUTE, moment + 2 * _MINUTE - 1)


def _midnight(day: date) -> int:
    return parse_time(f"{day} 00:00")


def _length_ns(match: re.Match[str]) -> int:
    number, unit = match[1], match[2][0].lower()  # a unit of a duration is the first letter of the word
    said = number.lower().removeprefix("a ") if number else ""
    count = 1.0 if not said else _WORDS.get(said) or _WORDS.get(number.lower()) or float(number)
    return parse_duration(f"{count:g}{unit}")


def _at(text: str, now_ns: int) -> int:
    return parse_time(text, now_ns=now_ns)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], int], TimeRange]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), meaning)
    for pattern, meaning in (
        (
            (
                r"\b(?:yesterday|today)\s+(?:at\s+|around\s+|about\s+)?(\d{1,2}:\d\d(?::\d\d)?)|"
                r"\b(?:at\s+|around\s+|about\s+)?(\d{1,2}:\d\d(?::\d\d)?)\s+(?:yesterday|today)\b"
            ),
            _moment_of_day,
        ),
        (r"\b(?:in the\s+)?(this|yesterday|last)\s+(morning|afternoon|evening|night)\b", _part_of_day),
        (r"\bjust now\b|\ba moment ago\b|\bright now\b|\bat the moment\b", _just_now),
        (rf"\b(?:between|from)\s+{_MOMENT}\s+(?:and|to|until|till)\s+{_MOMENT}", _between),
        (rf"(?<![\d:]){_MOMENT}\s*(?:-|–|to|until)\s*{_MOMENT}", _between),  # noqa: RUF001 - as people type it
        (rf"\b(?:since|after)\s+{_MOMENT}", _since),
        (rf"\b{_LENGTH}\s+ago\b", _ago),
        (
            rf"\b(?:(?:in|over|within|during|for|since)\s+)?(?:the\s+|these\s+)?(?:last|past|previous)\s+{_LENGTH}",
            _last,
        ),
        (r"\b(?:(?:since|during)\s+)?(?:today|yesterday)\b", _day),
        (rf"\b(?:around|at|near|about|by)\s+{_MOMENT}", _around),
        (rf"(?<![\d:]){_MOMENT}(?![\d:])", _around),
    )
)
