"""Values of foreign lines at speed: what is beyond doubt in a few steps, or a ValueError, and the reference looks.

The reference is :mod:`kernelsight.ingest.values` and :mod:`kernelsight.ingest.times`; each function here gives what
they give, or raises.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec

from kernelsight.events.declare import EARLIEST_EPOCH_NS, INT64_MAX, LONGEST_TEXT, Column, Kind
from kernelsight.events.unsigned import wrap_u64
from kernelsight.ingest.notations import read_text
from kernelsight.ingest.numbers import exact_decimal
from kernelsight.ingest.parts import keep_apart
from kernelsight.ingest.times import FUTURE_NS, Clocks, read_at_once, read_stamp
from kernelsight.ingest.values import Stored, convert

_NS_PER_S = 1_000_000_000
_HOUR_NS = 3600 * _NS_PER_S
_DIGITS = 10
"""Of seconds since the epoch, from 2001 to 2286."""
_TO_NANOSECOND = _DIGITS + 1 + 9
_TO_SECOND = len("2026-11-24T06:00:00")
_ERROR = 2.0**-51
"""Of the product of a number and a unit, both as floats: each of the three is off by 2^-53 of it at most."""
_LARGEST = 2**64 - 1
_LONGEST_INTEGER = 18
"""Characters: 0x and sixteen digits."""
_LONGEST_CACHED = 256
"""Characters of the names of an entity and its parts that are kept with what they give together."""
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


class LookAgainError(ValueError):
    """The value is not clear at once."""


def scaled(value: float, factor: float, low: int, high: int) -> int:
    """The product as the nearest integer.

    Raises:
        LookAgainError: it is too near to the middle between two, or is no usual value of the column.
    """
    product = value * factor
    nearest = round(product)
    if 0.5 - abs(product - nearest) <= abs(product) * _ERROR or not low <= nearest <= high:
        raise LookAgainError
    return nearest


def integer(text: str, low: int, high: int) -> int:
    """A hexadecimal or decimal integer.

    Raises:
        ValueError: it is none, or no usual value of the column.
    """
    if len(text) > _LONGEST_INTEGER or not text.isalnum() or not text.isascii():
        raise LookAgainError
    number = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
    if not low <= number <= high:
        raise LookAgainError
    return number


def address(text: str) -> int:
    """A hexadecimal or decimal integer of 64 bits as the signed one of the same bits.

    Raises:
        ValueError: it is none.
    """
    number = integer(text, 0, _LARGEST)
    return number if number <= INT64_MAX else wrap_u64(number)


def name(text: str) -> str:
    """A text that cannot be read as a number.

    Raises:
        LookAgainError: it may be one.
    """
    if text[:1] not in LETTERS:
        raise LookAgainError
    return text


def exactly(column: Column, raw: msgspec.Raw, factor: float) -> Stored:
    """A number as the reference reads it from its digits.

    Raises:
        ValueError: it is none, or no value of the column.
    """
    return convert(column, _number(raw), factor)


def within(number: int, low: int, high: int) -> int:
    """A number that is a usual value of its column.

    Raises:
        LookAgainError: it is not.
    """
    if not low <= number <= high:
        raise LookAgainError
    return number


def integer_stamp(value: int, clocks: Clocks, unit: int | None) -> int:
    """A stamp that is an integer (ns since the epoch).

    Raises:
        ValueError: it cannot be read, or the time of arrival stands for it, which the books count.
    """
    at_once = read_at_once(value, clocks, unit)
    return _stamp(value, clocks, unit) if at_once is None else at_once


def number_stamp(raw: msgspec.Raw, clocks: Clocks, unit: int | None) -> int:
    """A stamp with a point or an exponent (ns since the epoch).

    Raises:
        ValueError: as of :func:`integer_stamp`.
    """
    seconds = _seconds(bytes(raw), clocks) if unit in {None, _NS_PER_S} else None
    return _stamp(_number(raw), clocks, unit) if seconds is None else seconds


def text_stamp(text: str, clocks: Clocks, unit: int | None) -> int:
    """A stamp that is text (ns since the epoch).

    Raises:
        ValueError: as of :func:`integer_stamp`.
    """
    utc = _of_utc(text, clocks)
    return _stamp(text, clocks, unit) if utc is None else utc


def _stamp(value: object, clocks: Clocks, unit: int | None) -> int:
    moment = read_stamp(value, clocks, unit)
    if moment.arrival:
        raise LookAgainError
    return moment.epoch_ns


def _seconds(text: bytes, clocks: Clocks) -> int | None:
    """Seconds since the epoch with a fraction (ns), where nothing else can be meant."""
    if len(text) > _TO_NANOSECOND or text[_DIGITS : _DIGITS + 1] != b".":
        return None
    epoch_ns = int(text[:_DIGITS]) * _NS_PER_S + int(text[_DIGITS + 1 :].ljust(9, b"0"))
    # Whole ones may be nanoseconds since boot: ten seconds at most.
    is_clear = clocks.now >= EARLIEST_EPOCH_NS and (epoch_ns % _NS_PER_S > 0 or clocks.monotonic > _HOUR_NS)
    return epoch_ns if is_clear and EARLIEST_EPOCH_NS <= epoch_ns <= clocks.now + FUTURE_NS else None


def _of_utc(text: str, clocks: Clocks) -> int | None:
    """A date and time that ends in Z (ns since the epoch); None for any other form."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    if len(whole) != _TO_SECOND or text[-1] != "Z" or not (fraction or "0").isdecimal() or not text.isascii():
        return None
    return _whole_second(whole) + int(fraction[:9].ljust(9, "0")) if clocks.now >= EARLIEST_EPOCH_NS else None


# Lines come by the thousand in one second.
@lru_cache(maxsize=1024)
def _whole_second(text: str) -> int:
    return read_text(f"{text}Z")


def _number(raw: msgspec.Raw) -> int | Decimal:
    text = bytes(raw).decode("ascii")
    if text[:1] not in "-0123456789" or not text:
        raise LookAgainError
    return int(text) if text.removeprefix("-").isdigit() else exact_decimal(text)


class PartNames:
    """The name of an entity with the part of the machine that a line speaks of."""

    def __init__(self, kind: Kind, column: str, columns: frozenset[str], others: tuple[str, ...]) -> None:
        """Prepare.

        Args:
            kind: what the lines are.
            column: the one that takes the part.
            columns: all that a line has a value of.
            others: the fields of the line that no column stands for.
        """
        self._kind, self._column, self._columns, self._others = kind, column, columns, others
        self._cached = lru_cache(maxsize=1024, typed=True)(self._make)

    def __call__(self, entity: str, *others: str | int) -> Stored:
        """The name, with the part.

        Raises:
            PartError: no column can say which part it is.
        """
        texts = (entity, *(other for other in others if isinstance(other, str)))
        return (self._cached if sum(map(len, texts)) <= _LONGEST_CACHED else self._make)(entity, *others)

    def _make(self, entity: str, *others: str | int) -> Stored:
        values: dict[str, Stored] = {**dict.fromkeys(self._columns, 0), self._column: entity}
        keep_apart(self._kind, values, dict(zip(self._others, others, strict=True)))
        name = values[self._column]
        if len(str(name)) > LONGEST_TEXT:
            raise LookAgainError
        return name
