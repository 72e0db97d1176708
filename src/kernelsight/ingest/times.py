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
where that is on our clock cannot be known, and the time of arrival stands for it.

A clock that was never set, as of a machine without a battery, reads a time before 2001. Stamps in nanoseconds from
1980 to 2001 can be nothing else and are taken as they are. Where this machine's own clock reads such a time, a
number or text is also read so that it lies within ten minutes of it. Otherwise nothing ever becomes 1970.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from kernelsight.events.declare import EARLIEST_EPOCH_NS, EARLIEST_UNSET_NS, INT64_MAX
from kernelsight.ingest.notations import COMPACT_DATE, LONGEST_STAMP, PLAIN_NUMBER, UnreadableTimeError, read_text
from kernelsight.ingest.numbers import EXACT, NumberLengthError, as_exact

_NS_PER_S = 1_000_000_000
_UNITS = (_NS_PER_S, 1_000_000, 1_000, 1)
_NANOSECONDS = (None, 1)
_LIVE_NS = 600 * _NS_PER_S
"""A stamp since boot that could also be a date is believed for so long."""

_EARLIEST_TRACER_NS = 10 * _NS_PER_S

FUTURE_NS = 86_400 * _NS_PER_S
"""A date further ahead than a wrong clock would put it is not meant, if there is another reading."""

_TEN_YEARS_NS = EARLIEST_UNSET_NS
"""A date further ahead is believed only where the number is not the uptime of some machine, which is seldom longer;
or where the clock of this one was never set."""

_DIGITS_OF_SECONDS = 10
"""Of a number of seconds since the epoch, until 2286."""

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
        value: a number, or text: a number or a date and time (:mod:`kernelsight.ingest.notations`).
        clocks: the present.
        unit: nanoseconds in one unit, where the field's name says it.

    Raises:
        UnreadableTimeError: it cannot be read as a time.
    """
    if type(value) is int and unit in _NANOSECONDS and clocks.now >= EARLIEST_EPOCH_NS <= value <= INT64_MAX:
        return Stamp(value)  # the usual case: no other unit and no uptime is so large
    number = _number(value)
    if number is None:
        is_unset = clocks.now < EARLIEST_EPOCH_NS
        return Stamp(read_text(str(value).strip(), 1 if is_unset else EARLIEST_EPOCH_NS))
    if number <= 0:
        raise UnreadableTimeError(f"timestamp is {'zero' if number == 0 else 'negative'}, which is no time")
    # A unit that the name states but the magnitude rules out is not believed.
    epoch_ns = _reading(number, clocks, unit) or _reading(number, clocks, None)
    if epoch_ns is not None:
        return Stamp(epoch_ns)
    if number > INT64_MAX:
        raise UnreadableTimeError("timestamp out of range")
    return Stamp(clocks.now, arrival=True)


def read_at_once(value: int, clocks: Clocks, unit: int | None = None) -> int | None:
    """What :func:`read_stamp` reads (ns since the epoch), where that is clear from a few comparisons; None: ask it.

    Args:
        value: an integer.
        clocks: the present.
        unit: nanoseconds in one unit, where the field's name says it.
    """
    if clocks.now < EARLIEST_EPOCH_NS or value <= 0:
        return None
    if unit in _NANOSECONDS and EARLIEST_EPOCH_NS <= value <= INT64_MAX:
        return value
    since_boot = value * (unit or 1)
    scale = _only_scale(value) if unit is None else unit
    date = value * scale if EARLIEST_EPOCH_NS <= value * scale <= INT64_MAX else None
    # The monotonic clock is never ahead of the other one.
    age = clocks.monotonic - since_boot if since_boot <= clocks.monotonic else clocks.boot - since_boot
    is_live = 0 <= age <= _LIVE_NS
    if date is not None and date <= clocks.now + FUTURE_NS:
        if is_live and abs(date - clocks.now) == age:
            return None
        return clocks.now - age if is_live and age < abs(date - clocks.now) else date
    is_other_unit = unit is None and value * 1000 <= clocks.boot
    return clocks.now - age if is_live and not is_other_unit else None


def _only_scale(value: int) -> int:
    """Of the units the only one in which a number can be a date; 0: there is none."""
    if value >= EARLIEST_EPOCH_NS:
        return 1
    if value >= EARLIEST_EPOCH_NS // 1_000:
        return 1_000
    if value >= EARLIEST_EPOCH_NS // 1_000_000:
        return 1_000_000
    return _NS_PER_S if value >= EARLIEST_EPOCH_NS // _NS_PER_S else 0


def _reading(number: Decimal, clocks: Clocks, unit: int | None) -> int | None:
    """The moment that a number means; None when it fits no window.

    Raises:
        UnreadableTimeError: it fits one that is too far ahead to be believed.
    """

    def distance(epoch_ns: int) -> int:
        return abs(epoch_ns - clocks.now)

    def is_live(epoch_ns: int) -> bool:
        return distance(epoch_ns) <= _LIVE_NS

    def live_of_unset(number: Decimal) -> list[int]:
        """What just happened by a clock that was never set: since the epoch in any unit, or since boot."""
        usual = unit or _usual_unit_since_boot(number)
        since_epoch = (int(_times(number, scale)) for scale in (_UNITS if unit is None else (unit,)))
        readings = [*since_epoch, *_since_boot(_times(number, usual), clocks)]
        return [epoch_ns for epoch_ns in readings if 0 < epoch_ns <= INT64_MAX and is_live(epoch_ns)]

    if clocks.now < EARLIEST_EPOCH_NS and live_of_unset(number):
        return min(live_of_unset(number), key=distance)
    usual = unit or _usual_unit_since_boot(number)
    date = min(_since_epoch(number, unit), key=distance, default=None)
    uptime = min(_since_boot(_times(number, usual), clocks), key=distance, default=None)
    if date is not None and date <= clocks.now + FUTURE_NS:
        return min(date, uptime, key=distance) if uptime is not None and is_live(uptime) else date
    others = [] if unit else list(_since_boot_in_another_unit(number, usual, clocks))
    uptimes = others if uptime is None else [uptime, *others]
    if live := list(filter(is_live, uptimes)):
        return min(live, key=distance)
    if uptime is not None and _times(number, usual) >= _EARLIEST_TRACER_NS:
        return uptime
    is_uptime_elsewhere = _times(number, usual) < _TEN_YEARS_NS
    if date is None and not is_uptime_elsewhere and EARLIEST_UNSET_NS <= _times(number, unit or 1) < EARLIEST_EPOCH_NS:
        return int(_times(number, unit or 1))
    if date is not None and is_uptime_elsewhere and EARLIEST_EPOCH_NS <= clocks.now < date - _TEN_YEARS_NS:
        raise UnreadableTimeError("timestamp is a date more than ten years ahead, or a time since another boot")
    return next((moment for moment in (date, *others, uptime) if moment is not None), None)


def _times(number: Decimal, unit: int) -> Decimal:
    """A product that is not rounded: with the usual 28 digits a nanosecond may be rounded up."""
    return EXACT.multiply(number, Decimal(unit))


def _usual_unit_since_boot(number: Decimal) -> int:
    return 1 if number == number.to_integral_value(context=EXACT) else _NS_PER_S


def _since_epoch(number: Decimal, unit: int | None) -> Iterator[int]:
    for scale in _UNITS if unit is None else (unit,):
        epoch_ns = int(_times(number, scale))
        if EARLIEST_EPOCH_NS <= epoch_ns <= INT64_MAX:
            yield epoch_ns


def _since_boot(since_boot_ns: Decimal, clocks: Clocks) -> Iterator[int]:
    # The two clocks since boot differ by the time the machine was suspended.
    for clock in (clocks.monotonic, clocks.boot):
        if since_boot_ns <= clock:
            yield clocks.now - clock + int(since_boot_ns)


def _since_boot_in_another_unit(number: Decimal, usual: int, clocks: Clocks) -> Iterator[int]:
    for scale in reversed(_UNITS):
        if scale != usual and (since_boot_ns := _times(number, scale)) >= _EARLIEST_TRACER_NS:
            yield from _since_boot(since_boot_ns, clocks)


def _number(value: object) -> Decimal | None:
    """A number from JSON, or from text that is one; None for other text."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise UnreadableTimeError("timestamp is neither number nor text")
    if isinstance(value, str):
        text = value.strip()
        if not (text and len(value) <= LONGEST_STAMP and value.isascii()):
            raise UnreadableTimeError("timestamp is not a time")
        if not PLAIN_NUMBER.fullmatch(text):
            return None
        if COMPACT_DATE.fullmatch(text):
            raise UnreadableTimeError("timestamp may be a date without separators or a number")
        value = Decimal(text)
    try:
        number = Decimal(as_exact(value))
    except NumberLengthError as error:
        raise UnreadableTimeError("timestamp out of range") from error
    if number.adjusted() > len(str(INT64_MAX)) or (isinstance(value, int) and abs(value) > INT64_MAX):
        raise UnreadableTimeError("timestamp out of range")
    if _lacks_digits(number):
        raise UnreadableTimeError("timestamp is a number with an exponent, without enough digits for a second")
    return number


def _lacks_digits(number: Decimal) -> bool:
    """Whether an exponent stands for digits that were not printed, as `1.7e+18` by `%g`: years, not a moment."""
    _, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and exponent > 0 and len(digits) < _DIGITS_OF_SECONDS and number != 0
