"""Quantities as text: the one place that turns a number with its declared unit into what people read.

Durations and sizes are scaled (`3.8 s`, `250 us`, `1.2 GiB`, a rate of bytes `12.4 MB/s`), counts have their thousands
separated (`1,234,567 faults`). Three digits tell people enough; JSON and CSV have them all. No text has an exponent.
"""

from __future__ import annotations

import math

_DURATIONS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_SIZES = {"B": 1.0, "KiB": 1024.0, "512 B sectors": 512.0}
_SCALES_OF_DURATION = ((86_400.0, 172_800.0, "d"), (3_600.0, 36_000.0, "h"), (1.0, 1.0, "s"), (1e-3, 1e-3, "ms"))
"""Size of a unit in seconds, from how many seconds on it is used, and its name."""
_SCALES_OF_SIZE = tuple((1024.0**power, f"{letter}iB") for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")))
_SCALES_OF_RATE = tuple((1000.0**power, f"{letter}B") for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "k")))
_ABSURD = 1e15
_TINY = 1e-3


def quantity(value: float | None, unit: str = "") -> str:
    """A number with its unit for a person.

    Args:
        value: in the unit; None is not known.
        unit: as it is declared (`ns`, `KiB`, `512 B sectors`, `faults`), with `/s` behind it where it is a rate.
    """
    if value is None:
        return "not known"
    if not math.isfinite(value):
        return "more than can be told" if value > 0 else "not a number"
    base, rate = (unit[:-2], "/s") if unit.endswith("/s") else (unit, "")
    if base in _DURATIONS:
        return _duration(value * _DURATIONS[base], rate)
    if base in _SIZES:
        return _size(value * _SIZES[base], rate)
    return f"{number(value)} {unit.removeprefix('USER_HZ ')}".rstrip()


def number(value: float) -> str:
    """A number with about three digits, or all of a whole one, with the thousands separated."""
    size = abs(value)
    if not math.isfinite(value):
        return "more than can be told" if value > 0 else "not a number"
    if size >= _ABSURD:
        power = math.floor(math.log10(size))
        return f"{value / 10.0**power:.1f} x 10^{power}"
    if value == int(value) or size >= 100:
        return f"{value:,.0f}"
    if size < _TINY:
        return f"less than {_TINY}" if value > 0 else f"-{_TINY} or more"
    decimals = 2 - math.floor(math.log10(size))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def _duration(seconds: float, rate: str) -> str:
    for size, least, name in _SCALES_OF_DURATION:
        if abs(seconds) >= least and not (rate and size > 1):
            return f"{number(_rounded(seconds / size))} {name}{rate}"
    if abs(seconds) >= 1e-6:
        return f"{number(_rounded(seconds * 1e6))} us{rate}"
    return f"{number(seconds * 1e9)} ns{rate}" if seconds else f"0 s{rate}"


def _size(size: float, rate: str) -> str:
    for least, name in _SCALES_OF_RATE if rate else _SCALES_OF_SIZE:
        if abs(size) >= least:
            return f"{number(_rounded(size / least))} {name}{rate}"
    return f"{number(size)} B{rate}"


def _rounded(value: float) -> float:
    """To three digits, and no fewer than the whole number."""
    digits = 2 - math.floor(math.log10(abs(value)))
    return round(value, max(digits, 0))
