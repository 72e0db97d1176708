"""Unsigned 64-bit values (addresses, cgroup ids) as the signed integers of the same bits, which stores hold.

Columns declared with :class:`~kernelsight.events.declare.Unsigned64` are wrapped before they are
written (by whoever makes the event) and unwrapped when they are shown.
"""

from __future__ import annotations

_TWO_63 = 1 << 63
_TWO_64 = 1 << 64


def wrap_u64(value: int) -> int:
    """The signed integer with the same 64 bits.

    Raises:
        ValueError: the value does not fit into 64 bits, signed or unsigned.
    """
    if value < _TWO_63:
        if value < -_TWO_63:
            raise ValueError(f"{value} does not fit into 64 bits")
        return value
    if value >= _TWO_64:
        raise ValueError(f"{value} does not fit into 64 bits")
    return value - _TWO_64


def unwrap_u64(value: int) -> int:
    """The unsigned integer with the same 64 bits, from 0 to 2**64 - 1."""
    return value + _TWO_64 if value < 0 else value
