"""The settings of collectors that a person may choose: `kernelsight collect -o threshold_ms=5`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kernelsight.errors import UsageError

Value = str | int | float | bool


class Option(NamedTuple):
    """A setting: what its value is, and what it does."""

    type: type[bool | int | float | str]
    meaning: str


OPTIONS: Mapping[str, Option] = {
    "threshold_ms": Option(float, "system calls that take so long are recorded one by one"),
    "runqueue_threshold_ms": Option(float, "waits for a CPU that take so long are recorded one by one"),
    "include_waits": Option(bool, "system calls that wait for events by design are recorded too"),
    "fault_source": Option(str, "where page faults are read: a name that `collect --list` shows"),
    "fault_samples_per_s": Option(float, "page faults that are recorded one by one in a second, per CPU"),
    "fault_threshold_ms": Option(float, "page faults that take so long are recorded in any case"),
    "enable_delayacct": Option(bool, "switch the kernel's delay accounting on while collectors run"),
    "pressure_groups": Option(int, "control groups whose pressure is read at most"),
    "remote_filesystems": Option(bool, "ask network file systems for their space too, which may hang"),
    "tcp_many": Option(int, "sockets from which on only their states are counted"),
}


def parse_options(texts: Iterable[str]) -> dict[str, Value]:
    """Settings from texts of the form NAME=VALUE.

    Raises:
        UsageError: there is no such setting, or its value is of another type.
    """
    return dict(map(_parsed, texts))


def _parsed(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"-o {text}: it must be NAME=VALUE")
    option = OPTIONS.get(name)
    if option is None:
        raise UsageError(f"-o {text}: there is no setting {name!r}; there are {', '.join(sorted(OPTIONS))}")
    if option.type is bool:
        if value not in {"true", "false"}:
            raise UsageError(f"-o {text}: {name} is true or false")
        return name, value == "true"
    try:
        number = option.type(value)
    except ValueError:
        number = math.nan
    if isinstance(number, float) and not math.isfinite(number):
        raise UsageError(f"-o {text}: {name} must be {'a whole' if option.type is int else 'a'} number")
    return name, number
