"""The options of what says how long a store keeps its rows, and how their values are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import click

from kernelsight.errors import UsageError
from kernelsight.quantities import quantity
from kernelsight.stores.limits import DEFAULTS, EVERY, Limit, LimitName

F = TypeVar("F", bound=Callable[..., Any])
FOREVER = "forever"
NONE = "none"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B", re.ASCII)
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}
_LEAST_NS = 60 * 10**9
_LEAST_BYTES = 10 * 10**6

_MEANING: dict[LimitName, str] = {
    "keep_sql": "How long SQL can read rows; afterwards they are kept as columns, which `kernelsight query` reads.",
    "keep": "How long rows are kept in any form. Sums by minute and hour stay.",
    "keep_rollups": "How long sums by minute and hour are kept.",
}


def parse_size(text: str) -> int | None:
    """Bytes of a size such as 500MB, 2GB or 1.5GiB; None for `none`.

    Raises:
        UsageError: it is no size, or too small for any store.
    """
    if text.strip() == NONE:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size; write 500MB, 2GB, 1.5GiB, or {NONE}")
    number, prefix, binary = match.groups()
    size = int(Decimal(number) * (1024 if binary else 1000) ** _POWERS[prefix])
    if not _LEAST_BYTES <= size < 2**63:
        raise UsageError(f"{text!r} is not a limit that a store can keep; give at least {_LEAST_BYTES // 10**6}MB")
    return size


def parse_keeping(text: str) -> int | None:
    """Give the ns of a length of time such as 12h, 30d or 1y; None for `forever`.

    Raises:
        UsageError: it is no length of time, or less than a minute.
    """
    from kernelsight.query.times import parse_duration  # noqa: PLC0415 - not for who gives no such option

    if text.strip() == FOREVER:
        return None
    ns = parse_duration(text)
    if ns < _LEAST_NS:
        raise UsageError(f"{text!r} is less than a minute; give a longer time, or {FOREVER}")
    return ns


def shown(name: LimitName, value: int | None) -> str:
    """A limit as it is written."""
    if name == "max_disk":
        return NONE if value is None else _shown_size(value)
    return FOREVER if value is None else _shown_time(value)


def _shown_size(value: int) -> str:
    for prefix in ("T", "G", "M", "k"):
        unit = 1000 ** _POWERS[prefix]
        if value >= unit and value % (unit // 10 or 1) == 0:
            return f"{value / unit:g}{prefix}B"
    return quantity(value, "B").replace(" ", "")


def _shown_time(value: int) -> str:
    for unit, seconds in (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if value % (seconds * 10**9) == 0:
            return f"{value // (seconds * 10**9)}{unit}"
    return quantity(value, "ns").replace(" ", "")


def limits_of(
    keep_sql: Sequence[str], keep: Sequence[str], keep_rollups: Sequence[str], max_disk: str | None
) -> dict[Limit, int | None]:
    """The limits that the options name.

    Raises:
        UsageError: a value is not understood, or there is no such kind of event.
    """
    limits: dict[Limit, int | None] = {}
    named: dict[LimitName, Sequence[str]] = {"keep_sql": keep_sql, "keep": keep, "keep_rollups": keep_rollups}
    for name, texts in named.items():
        for text in texts:
            kind, separator, value = text.rpartition("=")
            limits[_table(kind) if separator else EVERY, name] = parse_keeping(value)
    if max_disk is not None:
        limits[EVERY, "max_disk"] = parse_size(max_disk)
    return limits


def _table(name: str) -> str:
    from kernelsight.events.wire import kinds, tables  # noqa: PLC0415 - loads all kinds

    if name in tables():
        return name
    try:
        return kinds()[name].table
    except KeyError:
        raise UsageError(f"there is no kind of event {name!r}; `kernelsight query tables` lists them") from None


def keeping_options(*, shows_defaults: bool = True) -> Callable[[F], F]:
    """``--keep-sql``, ``--keep``, ``--keep-rollups`` and ``--max-disk``."""

    def default(name: LimitName) -> str:
        return f"  [default: what the store has, at first {shown(name, DEFAULTS[name])}]" if shows_defaults else ""

    def add(function: F) -> F:
        function = click.option(
            "--max-disk",
            metavar="SIZE",
            help=f"Most disk space of the whole store; the oldest goes first. `none`: no limit.{default('max_disk')}",
        )(function)
        for name in reversed(_MEANING):
            function = click.option(
                f"--{name.replace('_', '-')}",
                multiple=True,
                metavar="[KIND=]TIME",
                help=f"{_MEANING[name]} `forever`: no limit.{default(name)}",
            )(function)
        return function

    return add


def as_arguments(
    keep_sql: Sequence[str], keep: Sequence[str], keep_rollups: Sequence[str], max_disk: str | None
) -> list[str]:
    """The options again, for a command line."""
    arguments = [
        part
        for name, texts in (("--keep-sql", keep_sql), ("--keep", keep), ("--keep-rollups", keep_rollups))
        for text in texts
        for part in (name, text)
    ]
    return arguments if max_disk is None else [*arguments, "--max-disk", max_disk]
