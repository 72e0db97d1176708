"""Unsigned 64-bit values (addresses, cgroup ids) as the signed integers of the same bits, which stores hold.

Columns declared with :class:`~kernelsight.events.declare.Unsigned64` are wrapped before they are
written (by whoever makes the event) and unwrapped when they are shown.
"""

from __future__ import annotations

_TWO_63 = 1 << 63
_TWO_64 = 1 << 64


def fits_64_bits(value: int) -> bool:
    """Whether a value fits into 64 bits, signed or unsigned."""
    return -_TWO_63 <= value < _TWO_64


def wrap_u64(value: int) -> int:
    """The signed integer with the same 64 bits.

    Raises:
        ValueError: the value does not fit into 64 bits, signed or unsigned.
    """
    if not fits_64_bits(value):
        raise ValueError(f"{value} does not fit into 64 bits")
    return value - _TWO_64 if value >= _TWO_63 else value


def unwrap_u64(value: int) -> int:
    """The unsigned integer with the same 64 bits, from 0 to 2**64 - 1."""
    return value + _TWO_64 if value < 0 else value
