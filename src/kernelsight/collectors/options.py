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
    "threshold_ms": Option(float, "shortest system call that is recorded by itself"),
    "runqueue_threshold_ms": Option(float, "shortest wait for a CPU that is recorded by itself"),
    "include_waits": Option(bool, "also record system calls that wait for events by design"),
    "fault_source": Option(str, "source of page faults: a name that `collect --list` shows"),
    "fault_samples_per_s": Option(float, "most page faults that are recorded by themselves, per second and CPU"),
    "fault_threshold_ms": Option(float, "shortest page fault that is always recorded"),
    "enable_delayacct": Option(bool, "switch on the kernel's delay accounting while collectors run"),
    "pressure_groups": Option(int, "most control groups whose pressure is read"),
    "remote_filesystems": Option(bool, "also ask network file systems for their space; that may hang"),
    "lock_threshold_ms": Option(float, "shortest wait for a lock whose stacks are taken"),
    "stack_hz": Option(int, "stacks of running threads that are taken, per second and CPU: 1 to 99"),
    "tcp_many": Option(int, "number of sockets above which only their states are counted"),
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
