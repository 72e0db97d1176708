"""Numbers of foreign lines, exactly as they are written: no float stands between the text and the column."""

from __future__ import annotations

import decimal
from decimal import Decimal
from functools import lru_cache

LONGEST_NUMBER = 400
"""Characters of a number; no double has more digits before its point, and no tool prints more."""

EXACT = decimal.Context(prec=2 * LONGEST_NUMBER)
"""Arithmetic that rounds nothing of numbers that pass :func:`is_absurd`."""

_LARGEST_EXPONENT = LONGEST_NUMBER


class NumberLengthError(ValueError):
    """A number has more characters or a larger exponent than any measurement; the message is the reason."""


def exact_decimal(text: str) -> Decimal:
    """The number that a text with a point or an exponent is.

    Raises:
        NumberLengthError: it is longer or larger than any measurement.
    """
    if len(text) > LONGEST_NUMBER:
        raise NumberLengthError(f"a number of {len(text)} characters")
    try:
        number = Decimal(text)
    except decimal.InvalidOperation:  # an exponent beyond those of the module
        raise NumberLengthError("a number with an exponent out of range") from None
    if is_absurd(number):
        raise NumberLengthError("a number with an exponent out of range")
    return number


def is_absurd(number: Decimal | int) -> bool:
    """Whether a number is so large or so small that nothing should be calculated with it."""
    if isinstance(number, int):
        return number.bit_length() > 4 * LONGEST_NUMBER
    return not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT


def as_exact(number: float | Decimal) -> Decimal | int:
    """A number of Python as what was written: the shortest decimal that means a float is its text, to the last digit.

    Raises:
        NumberLengthError: it is infinite, not a number, or larger than any measurement.
    """
    exact = Decimal(repr(number)) if isinstance(number, float) else number
    if is_absurd(exact):
        raise NumberLengthError("a number out of range")
    return exact


def scaled(number: Decimal | int, factor: float) -> Decimal:
    """The product of a number that is not absurd and a factor that is the unit of one column in another's."""
    return EXACT.multiply(Decimal(number), _decimal(factor))


@lru_cache
def _decimal(factor: float) -> Decimal:
    return Decimal(repr(factor))
