"""One value of a foreign line, as its column holds it.

What is unambiguous is taken: 5.0 for 5, "12" and "0x1f" for integers, 0 and 1 for booleans. What is
not (5.5 for an integer, true for a count, 7 for a name) raises; a field is never stored approximately.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from kernelsight.events.declare import INT64_MAX, INT64_MIN, LONGEST_TEXT, Column, below_zero
from kernelsight.events.unsigned import fits_64_bits, wrap_u64
from kernelsight.ingest.numbers import EXACT, NumberLengthError, as_exact, scaled

Stored = int | float | str | bool
_NUMBERS = (int, float, Decimal)
_EXACT_IN_FLOAT = 2**53
_LONGEST_NUMBER = 40
_DECIMAL = re.compile(r"[+-]?[0-9]+")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_YES_NO: Mapping[object, bool] = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


class WrongValueError(ValueError):
    """The value cannot be what the column holds; the message is the reason."""


class BelowZeroError(ValueError):
    """The value is what is shown of a number that fell below zero (:func:`kernelsight.events.declare.below_zero`)."""


def convert(column: Column, value: object, factor: float = 1) -> Stored:
    """The value as the column holds it.

    Args:
        column: where it goes.
        value: as JSON has it, not null.
        factor: ours = theirs x factor.

    Raises:
        WrongValueError: it is of another type, or out of range.
        BelowZeroError: it is no measurement, but nothing is wrong with the line.
    """
    return _CONVERTERS[column.type](column, value, factor)


def _integer(column: Column, value: object, factor: float) -> int:
    number = value if type(value) is int and factor == 1 else _exact_number(column, value)
    if factor != 1:
        number = int(scaled(number, factor).to_integral_value(ROUND_HALF_EVEN, EXACT))
    elif isinstance(number, Decimal):
        # A number with a point or an exponent comes from somebody's float, which holds no larger integer exactly.
        if number != number.to_integral_value(context=EXACT) or abs(number) > _EXACT_IN_FLOAT:
            raise WrongValueError(f"{column.name}: not an integer of 64 bits")
        number = int(number)
    if column.unsigned64 and fits_64_bits(number):
        number = wrap_u64(number)
    if not column.unsigned64 and below_zero(column.semantics, number):
        raise BelowZeroError
    if not INT64_MIN <= number <= INT64_MAX:
        raise WrongValueError(f"{column.name}: not an integer of 64 bits")
    return number


def _exact_number(column: Column, value: object) -> int | Decimal:
    try:
        if isinstance(value, _NUMBERS) and not isinstance(value, bool):
            return as_exact(value)
        if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
            text = value.strip()
            if _HEX.fullmatch(text):
                return int(text, 16)
            if _DECIMAL.fullmatch(text):
                return int(text)
            if _REAL.fullmatch(text):
                return as_exact(Decimal(text))
    except NumberLengthError as error:
        raise WrongValueError(f"{column.name}: out of range") from error
    raise WrongValueError(f"{column.name}: expected a number")


def _real(column: Column, value: object, factor: float) -> float:
    if isinstance(value, str) and not _REAL.fullmatch(value.strip()[:_LONGEST_NUMBER]):
        raise WrongValueError(f"{column.name}: expected a number")
    number = _exact_number(column, value)
    try:
        real = float(number if factor == 1 else scaled(number, factor))
    except OverflowError as error:
        raise WrongValueError(f"{column.name}: out of range") from error
    if not math.isfinite(real):
        raise WrongValueError(f"{column.name}: out of range")
    return real


def _text(column: Column, value: object, _factor: float) -> str:
    if not isinstance(value, str):
        raise WrongValueError(f"{column.name}: expected text")
    if len(value) > LONGEST_TEXT:
        raise WrongValueError(f"{column.name}: longer than {LONGEST_TEXT} characters")
    if column.choices and value not in column.choices:
        if value.lower() not in column.choices:
            raise WrongValueError(f"{column.name}: expected one of {', '.join(column.choices)}")
        return value.lower()
    return value


def truth(name: str, value: object) -> bool:
    """The answer of a yes-or-no field.

    Raises:
        WrongValueError: it is neither yes nor no.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in _YES_NO:
        return _YES_NO[value.lower()]
    raise WrongValueError(f"{name}: expected true or false")


def _boolean(column: Column, value: object, _factor: float) -> bool:
    return truth(column.name, value)


_CONVERTERS: Mapping[str, Callable[[Column, object, float], Stored]] = {
    "INTEGER": _integer,
    "REAL": _real,
    "TEXT": _text,
    "BOOLEAN": _boolean,
}
