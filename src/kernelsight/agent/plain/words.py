"""Numbers and names in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from kernelsight.agent.plain.topics import Metric
from kernelsight.moments import to_second
from kernelsight.query.rows import Row

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
_BYTES = {"B": 1, "KiB": 1024, "512 B sectors": 512}


def amount(value: float, unit: str) -> str:
    """A number with its unit, in the size that people read."""
    if unit in _BYTES:
        return _scaled(value * _BYTES[unit], (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)), "B")
    if unit in _SECONDS:
        return _scaled(value * _SECONDS[unit], (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)), "s")
    number = f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
    return f"{number} {unit}".rstrip()


def _scaled(value: float, units: tuple[tuple[str, float], ...], smallest: str) -> str:
    for unit, size in units:
        if abs(value) >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} {smallest}"


def whom(row: Mapping[str, object], by: tuple[str, ...]) -> str:
    """The name of a group of rows, such as `postgres (123)`."""
    values = {name: str(row[name]) for name in by if row[name] is not None and name != "start_ticks"}
    for pid, comm in (("pid", "comm"), ("waker_pid", "waker_comm")):
        if pid in values and comm in values:
            rest = ", ".join(value for name, value in values.items() if name not in {pid, comm})
            return f"{values[comm]} ({values[pid]}){': ' if rest else ''}{rest}"
    return ", ".join(values.values())


def called(metric: Metric) -> str:
    """What a metric is called in a sentence."""
    return metric.column.removesuffix(f"_{metric.declared.unit.lower()}").removesuffix("_kb").replace("_", " ")


def at(row: Row) -> str:
    """When a row was, to the second."""
    timestamp = row["timestamp"]
    assert isinstance(timestamp, int)
    return to_second(timestamp)
