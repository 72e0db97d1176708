"""What the kernel's text files have in common, for the parsers."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import INT64_MAX, INT64_MIN

_SHOWN = 60


@contextmanager
def parsing(source: str, text: bytes) -> Iterator[None]:
    """Say which file it was, and what it said, when the text is not what it should be.

    Raises:
        SourceUnavailableError: instead of the ValueError, IndexError, KeyError or struct.error of the parser.
    """
    try:
        yield
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise SourceUnavailableError(f"{source} says {text[:_SHOWN]!r}, which cannot be read: {error}") from error


def whole_lines(text: bytes) -> list[bytes]:
    """Split text into its lines.

    Raises:
        ValueError: there is none, or the last has no end: a number cut in two is another number.
    """
    if not text.endswith(b"\n"):
        raise ValueError("it does not end with a whole line")
    return text[:-1].split(b"\n")


def number(token: bytes | None) -> int | None:
    """Read an integer; None when there is none, or when it does not fit a store's 64 signed bits.

    Kernels print small negative gauges as unsigned; what then is 2**64 - 1 means nothing to anybody.

    Raises:
        ValueError: it is not an integer.
    """
    if token is None:
        return None
    value = int(token)
    return value if INT64_MIN <= value <= INT64_MAX else None


def real(token: bytes) -> float:
    """Read a number with a fraction.

    Raises:
        ValueError: it is not one, or not finite.
    """
    value = float(token)
    if not math.isfinite(value):
        raise ValueError(f"{token!r} is not a finite number")
    return value


def name(raw: bytes) -> str:
    """A name that somebody chose, as text; a byte that is not UTF-8 is shown as a backslash, x and two digits."""
    return raw.decode("utf-8", "backslashreplace")


def fixed_name(raw: bytes) -> str:
    """The name in a field of fixed length, in which a NUL ends it; as :func:`name`."""
    return name(raw.split(b"\0", 1)[0])
