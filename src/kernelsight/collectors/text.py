"""What the kernel's text files have in common, for the parsers.

Files of containers (lxcfs, gVisor, old kernels) end in NULs, without their last newline, or anywhere.
The word that such a text ends with may be cut in half, and half a number is another number: so it is
never taken. All before it is whole.

Nearly every text is well formed, and is read with few steps; the steps that find out what is wrong with one
are taken only where something is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from kernelsight.collectors.damage import note
from kernelsight.events.declare import INT64_MAX, INT64_MIN

_REAL = re.compile(rb"[0-9]{1,18}(\.[0-9]{1,18})?")
_MOST_DIGITS = 20
_FITTING_DIGITS = 18
"""A number of so many digits fits into 64 signed bits, whatever they are."""
_BLANKS = (b" ", b"\t")


class CutLine(bytes):
    """What is whole of a line that has no end: the words before its last one."""


def _divide(text: bytes) -> tuple[bytes, bytes]:
    """The lines that have an end, and the whole words of a last line without one."""
    if text.endswith(b"\n"):
        return text, b""
    if not text.strip(b"\0") and text:
        note("it has nothing but NULs", text)
    text = text.rstrip(b"\0")
    start = text.rfind(b"\n") + 1
    last = text[start:]
    if not last:
        return text, b""
    note("it ends without a newline: its last word may be cut", last)
    return text[:start], last[: max(last.rfind(blank) for blank in _BLANKS) + 1]


def without_cut(text: bytes) -> bytes:
    """The text without NULs at its end and without a last word that may be cut; empty, or ending with a newline."""
    whole, cut = _divide(text)
    return whole + cut + b"\n" if cut else whole


def lines(text: bytes) -> list[bytes]:
    """Split text into its lines; of one without an end, what is whole is last, as a :class:`CutLine`.

    Raises:
        ValueError: there is none.
    """
    whole, cut = _divide(text)
    rows = whole[:-1].split(b"\n") if whole else []
    if cut:
        rows.append(CutLine(cut))
    if not any(rows):
        raise ValueError("it has no whole word")
    return rows


def uncut(line: bytes) -> bytes:
    """The line, which has its end.

    Raises:
        ValueError: it has none.
    """
    if isinstance(line, CutLine):
        raise ValueError("it is cut")  # noqa: TRY004 - of the text
    return line


def pairs(rows: Sequence[bytes], separator: bytes) -> dict[bytes, bytes]:
    """Key and value of each line, the first of each key; a line that has no separator is noted and left out."""
    try:
        values = dict([line.split(separator, 1) for line in rows])
    except ValueError:  # a line without a separator
        return _pairs_one_by_one(rows, separator)
    return values if len(values) == len(rows) else _pairs_one_by_one(rows, separator)


def _pairs_one_by_one(rows: Sequence[bytes], separator: bytes) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for line in rows:
        key, present, value = line.partition(separator)
        if present:
            values.setdefault(key, value)
        elif line and not isinstance(line, CutLine):
            note("neither key nor value", line)
    return values


def integer(token: bytes) -> int:
    """Read an integer, written as the kernel writes it.

    Raises:
        ValueError: it is not one, or does not fit a store's 64 signed bits.
    """
    if len(token) <= _FITTING_DIGITS and token.isdigit():
        return int(token)
    digits = token[1:] if token[:1] == b"-" else token
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise ValueError(f"{token[:40]!r} is no integer")
    value = int(token)
    if not INT64_MIN <= value <= INT64_MAX:
        raise ValueError(f"{token!r} does not fit into 64 bits")
    return value


def number(token: bytes | None, *, signed: bool = False) -> int | None:
    """Read an integer; None when there is none, or when it does not fit a store's 64 signed bits.

    Kernels print small negative gauges as unsigned; what then is 2**64 - 1 means nothing to anybody.
    A token that is no integer is noted, and None; so is a negative one, unless it may be ``signed``.
    """
    if token is None:
        return None
    if len(token) <= _FITTING_DIGITS and token.isdigit():
        return int(token)
    token = token.strip()
    digits = token[1:] if signed and token[:1] == b"-" else token
    if not digits.isdigit():
        note("no integer", token)
        return None
    value = int(token) if len(digits) <= _MOST_DIGITS else INT64_MAX + 1
    return value if INT64_MIN <= value <= INT64_MAX else None


def numbers(words: Sequence[bytes]) -> list[int | None]:
    """Read each word as :func:`number` does."""
    if b"".join(words).isdigit() and max(map(len, words)) <= _FITTING_DIGITS and all(words):
        return list(map(int, words))
    return [number(word) for word in words]


def real(token: bytes | None) -> float | None:
    """Read a number with a fraction; None when there is none. A token that is none is noted, and None."""
    if token is None:
        return None
    if not _REAL.fullmatch(token):
        note("no number", token)
        return None
    return float(token)


def name(raw: bytes) -> str:
    """A name that somebody chose, as text; a byte that is not UTF-8 is shown as a backslash, x and two digits."""
    return raw.decode("utf-8", "backslashreplace")


@lru_cache(maxsize=4096)  # the same names come again and again
def fixed_name(raw: bytes) -> str:
    """The name in a field of fixed length, in which a NUL ends it; as :func:`name`."""
    return name(raw.split(b"\0", 1)[0])
