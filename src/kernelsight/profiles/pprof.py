"""A profile as pprof reads it: gzipped protobuf, by github.com/google/pprof/proto/profile.proto.

Seven messages of numbers and strings are written here: a library for protobuf, and code that a compiler makes of the
description, would be more than they are.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable

from kernelsight.profiles.profile import Profile
from kernelsight.profiles.symbols import Name

# Numbers of the fields in profile.proto.
_SAMPLE_TYPE, _SAMPLE, _LOCATION, _FUNCTION, _STRINGS, _TIME, _DURATION, _PERIOD_TYPE, _PERIOD = (
    1,
    2,
    4,
    5,
    6,
    9,
    10,
    11,
    12,
)
_BYTES = 2  # wire type: a length, and so many bytes


def pprof(profile: Profile) -> bytes:
    """The file's bytes: samples and CPU time (ns) of each path, with the process's name as the label `comm`."""
    strings: dict[str, int] = {"": 0}
    functions: dict[Name, int] = {}

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    def value_type(kind: str, unit: str) -> bytes:
        return _number(1, text(kind)) + _number(2, text(unit))

    parts = [
        _message(_SAMPLE_TYPE, value_type("samples", "count")),
        _message(_SAMPLE_TYPE, value_type("cpu", "nanoseconds")),
    ]
    for path in profile.paths:
        locations = [functions.setdefault(name, len(functions) + 1) for name in reversed(path.names)]
        label = _number(1, text("comm")) + _number(2, text(path.comm))
        parts.append(
            _message(_SAMPLE, _packed(1, locations) + _packed(2, (path.samples, path.cpu_ns)) + _message(3, label))
        )
    for name, number in functions.items():
        parts.append(_message(_LOCATION, _number(1, number) + _message(4, _number(1, number))))
        parts.append(
            _message(_FUNCTION, _number(1, number) + _number(2, text(name.function)) + _number(4, text(name.where)))
        )
    samples = profile.samples
    parts += [
        _number(_TIME, profile.start_ns),
        _number(_DURATION, profile.end_ns - profile.start_ns),
        _message(_PERIOD_TYPE, value_type("cpu", "nanoseconds")),
        _number(_PERIOD, profile.cpu_ns // samples if samples else 0),
    ]
    parts += [_message(_STRINGS, value.encode("utf-8", "backslashreplace")) for value in strings]
    return gzip.compress(b"".join(parts), mtime=0)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))
