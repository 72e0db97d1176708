"""When a foreign line happened: one rule for every unit, clock and notation.

A number may be seconds, milliseconds, microseconds or nanoseconds, since the Unix epoch or since boot.
Each epoch unit has a window of magnitude, which is 2001-09-09 to 2262; a stamp since boot lies between 0
and the present uptime. The windows overlap: half an hour of uptime in nanoseconds looks like milliseconds
since the epoch, 20 days like microseconds. Then the reading nearest to now is meant, if it is that of
something that just happened; clocks since boot are those of live tracers, and what is older than ten
minutes is a recording, which is read as a date unless that date lies in the future (no tracer runs in the
first ten seconds after boot, whose nanoseconds look like seconds since the epoch: those are a date).

Since boot, nanoseconds (with a fraction: seconds) are what tracers print. The other units are looked for
only where there is no date that is not in the future, since what half an hour after boot is in microseconds
are today's seconds since the epoch, and then the one that just happened is meant.

A number that fits no window and lies beyond the uptime was stamped by another boot or another machine;
where that is on our clock cannot be known, and the time of arrival stands for it. Nothing ever becomes
1970.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from kernelsight.events.declare import EARLIEST_EPOCH_NS, INT64_MAX

_NS_PER_S = 1_000_000_000
_UNITS = (_NS_PER_S, 1_000_000, 1_000, 1)
_LIVE_NS = 600 * _NS_PER_S
"""A stamp since boot that could also be a date is believed for so long."""

_EARLIEST_TRACER_NS = 10 * _NS_PER_S

_FUTURE_NS = 86_400 * _NS_PER_S
"""A date further ahead than a wrong clock would put it is not meant, if there is another reading."""

_LONGEST_STAMP = 48
"""No stamp in any notation is longer; a longer text is not looked at."""

KEYS: Mapping[str, int | None] = {
    "timestamp_ns": 1,
    "timestamp_us": 1_000,
    "timestamp_ms": 1_000_000,
    "timestamp": None,
    "@timestamp": None,
    "ts": None,
    "time": None,
    "time_ns": 1,
    "time_us": 1_000,
    "time_ms": 1_000_000,
    "ts_ns": 1,
    "ts_us": 1_000,
    "ts_ms": 1_000_000,
    "time_bucket": _NS_PER_S,
}
"""Names of a stamp, best first, with its unit in nanoseconds where the name says it."""

DESCRIPTIONS = frozenset({"time_str", "datetime", "time_iso"})
"""Stamps for people, beside the one that counts; not an unknown field."""


class UnreadableTimeError(ValueError):
    """The stamp has no reading; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment on the epoch, and whether it is only the time of arrival."""

    epoch_ns: int
    arrival: bool = False


@dataclass(frozen=True, slots=True)
class Clocks:
    """The present on three clocks (ns)."""

    now: int
    boot: int
    monotonic: int

    @staticmethod
    def read() -> Clocks:
        """Read the machine's clocks, the one that stamps are compared with last."""
        monotonic = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return Clocks(time.time_ns(), boot, monotonic)


ReadClocks = Callable[[], Clocks]


def find_stamp(fields: Mapping[str, object], clocks: Clocks) -> Stamp:
    """The stamp of a line.

    Raises:
        UnreadableTimeError: there is none, or none of those there has a reading.
    """
    reason = "no timestamp"
    for key, unit in KEYS.items():
        value = fields.get(key)
        if value is None:
            continue
        try:
            return read_stamp(value, clocks, unit)
        except UnreadableTimeError as error:
            reason = f"{error} ({key})"
    raise UnreadableTimeError(reason)


def read_stamp(value: object, clocks: Clocks, unit: int | None = None) -> Stamp:
    """Read one stamp.

    Args:
        value: a number, or text: a number or ISO 8601 (without a zone: local time).
        clocks: the present.
        unit: nanoseconds in one unit, where the field's name says it.

    Raises:
        UnreadableTimeError: it cannot be read as a time.
    """
    number = _number(value)
    if number is None:
        return Stamp(_iso(str(value)))
    if number <= 0:
        raise UnreadableTimeError("timestamp is not after zero")
    # A unit that the name states but the magnitude rules out is not believed.
    epoch_ns = _reading(number, clocks, unit) or _reading(number, clocks, None)
    if epoch_ns is not None:
        return Stamp(epoch_ns)
    if number > INT64_MAX:
        raise UnreadableTimeError("timestamp out of range")
    return Stamp(clocks.now, arrival=True)


def _reading(number: Decimal, clocks: Clocks, unit: int | None) -> int | None:
    """The moment that a number means; None when it fits no window."""

    def distance(epoch_ns: int) -> int:
        return abs(epoch_ns - clocks.now)

    def is_live(epoch_ns: int) -> bool:
        return distance(epoch_ns) <= _LIVE_NS

    usual = unit or _usual_unit_since_boot(number)
    date = min(_since_epoch(number, unit), key=distance, default=None)
    uptime = min(_since_boot(number * usual, clocks), key=distance, default=None)
    if date is not None and date <= clocks.now + _FUTURE_NS:
        return min(date, uptime, key=distance) if uptime is not None and is_live(uptime) else date
    others = [] if unit else list(_since_boot_in_another_unit(number, usual, clocks))
    uptimes = others if uptime is None else [uptime, *others]
    if live := list(filter(is_live, uptimes)):
        return min(live, key=distance)
    if uptime is not None and number * usual >= _EARLIEST_TRACER_NS:
        return uptime
    return next((moment for moment in (date, *others, uptime) if moment is not None), None)


def _usual_unit_since_boot(number: Decimal) -> int:
    return 1 if number == number.to_integral_value() else _NS_PER_S


def _since_epoch(number: Decimal, unit: int | None) -> Iterator[int]:
    for scale in _UNITS if unit is None else (unit,):
        epoch_ns = int(number * scale)
        if EARLIEST_EPOCH_NS <= epoch_ns <= INT64_MAX:
            yield epoch_ns


def _since_boot(since_boot_ns: Decimal, clocks: Clocks) -> Iterator[int]:
    # The two clocks since boot differ by the time the machine was suspended.
    for clock in (clocks.monotonic, clocks.boot):
        if since_boot_ns <= clock:
            yield clocks.now - clock + int(since_boot_ns)


def _since_boot_in_another_unit(number: Decimal, usual: int, clocks: Clocks) -> Iterator[int]:
    for scale in reversed(_UNITS):
        if scale != usual and number * scale >= _EARLIEST_TRACER_NS:
            yield from _since_boot(number * scale, clocks)


def _number(value: object) -> Decimal | None:
    """A number from JSON, or from text that is one; None for other text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnreadableTimeError("timestamp is neither number nor text")
    if isinstance(value, int):
        if abs(value) > INT64_MAX:
            raise UnreadableTimeError("timestamp out of range")
        return Decimal(value)
    if isinstance(value, str) and not (value and len(value) <= _LONGEST_STAMP and value.isascii()):
        raise UnreadableTimeError("timestamp is not a time")
    try:
        # The shortest decimal that means this float is what was written, to the last digit.
        number = Decimal(repr(value) if isinstance(value, float) else value.strip())
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() > len(str(INT64_MAX)):
        raise UnreadableTimeError("timestamp out of range")
    return number


_ISO = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d{1,9}))?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)


def _iso(text: str) -> int:
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise UnreadableTimeError("timestamp is not a time")
    try:
        whole = datetime.fromisoformat(match["whole"] + (match["zone"] or "").replace("Z", "+00:00"))
        epoch_s = int(whole.timestamp())
    except (ValueError, OverflowError) as error:
        raise UnreadableTimeError("timestamp is not a date") from error
    epoch_ns = epoch_s * _NS_PER_S + int((match["fraction"] or "0").ljust(9, "0"))
    if not EARLIEST_EPOCH_NS <= epoch_ns <= INT64_MAX:
        raise UnreadableTimeError("timestamp out of range")
    return epoch_ns
