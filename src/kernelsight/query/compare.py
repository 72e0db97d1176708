"""What changed between two windows: every metric of every entity, by how far it left its usual range.

Each window is cut into up to :data:`PARTS` equal parts, and each metric averaged within each part. The medians
of the two windows' parts are compared with the spread that the parts have among themselves (the median absolute
deviation), so that neither one outlier nor a metric that always jumps looks like a change::

    score = |median_b - median_a| / (1.4826 max(MAD_a, MAD_b) + 5 % of the larger + the least that matters)

It lies between 0 and 20. What occurs by itself (slow calls, faults) and per-interval counts are 0 where there is
no row, and so are rates of an entity that was not there at all; a level of such an entity is None, and scores half
of what it would had it been 0, because not every process is sampled all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from kernelsight.errors import UsageError
from kernelsight.events.declare import Column, Delta, Gauge, Kind, Label
from kernelsight.events.wire import kinds
from kernelsight.query.dialect import Sql, run
from kernelsight.query.planner import scan
from kernelsight.query.points import Selection, points_sql, unit_of
from kernelsight.query.presence import STEADY, last_row
from kernelsight.query.rows import Row, decoded
from kernelsight.query.source import Source, kind_named, opened
from kernelsight.query.times import EVERYTHING, Time, TimeRange, time_range
from kernelsight.stores.base import Reader, Value

PARTS = 12
_MAD_TO_SIGMA = 1.4826
_SHARE_THAT_MATTERS = 0.05

_LEAST: dict[str, float] = {
    "ns": 1e5, "us": 100.0, "ms": 1.0, "B": 65_536.0, "KiB": 1_024.0, "512 B sectors": 128.0, "pages": 16.0,
    "%": 0.5, "faults": 10.0, "switches": 50.0, "USER_HZ ticks": 1.0, "interrupts": 50.0, "packets": 10.0,
    "segments": 5.0, "cycles": 1e6, "instructions": 1e6, "references": 1e4, "misses": 1e4,
}  # fmt: skip
"""By unit (of a counter: a second): a change smaller than this is of no interest to anybody."""
_LEAST_OTHERWISE = 0.5

Key = tuple[Value, ...]


class MetricChange(TypedDict):
    """One metric of one entity that differs between two windows."""

    table: str
    metric: str
    """A column, or ``rows/s``: how many rows there were."""
    entity: Row
    """Whose metric it is; of what occurs by itself, by ``comm``."""
    unit: str
    before: float | None
    """Median of the parts of the first window; None: not there, or not recorded."""
    after: float | None
    change: float
    factor: float | None
    """``after / before``; None where either is None or ``before`` is 0."""
    score: float


@dataclass(frozen=True, slots=True)
class _Window:
    when: TimeRange
    parts: int

    @property
    def width(self) -> int:
        return -(-self.when.length_ns // self.parts)


def compare(
    source: Source,
    window_a: tuple[Time, Time],
    window_b: tuple[Time, Time],
    *,
    tables: Iterable[str] | None = None,
    limit: int = 20,
) -> list[MetricChange]:
    """The metrics that changed most from one window to the other.

    Args:
        source: the store.
        window_a: start and end of the window to compare with.
        window_b: start and end of the window that is in question.
        tables: names of the tables (or kinds) to look at; all by default.
        limit: at most so many metrics.

    Returns:
        one dict a metric, greatest score first.
    """
    if limit < 0:
        raise UsageError(f"limit {limit}: give a number of metrics, 0 or more")
    a, b = time_range(*window_a), time_range(*window_b)
    chosen = list(kinds().values()) if tables is None else [kind_named(table) for table in tables]
    with opened(source) as reader:
        differences = [change for kind in chosen for change in _scanned(reader, kind, a, b)]
    differences.sort(key=lambda row: (-row["score"], row["table"], row["metric"], str(row["entity"])))
    return differences[:limit]


def _scanned(reader: Reader, kind: Kind, a: TimeRange, b: TimeRange) -> list[MetricChange]:
    if not reader.holds(kind.table):
        return []
    return scan(reader, [(kind.table, a), (kind.table, b)], lambda using: changes(using, kind, a, b))


def changes(reader: Reader, kind: Kind, a: TimeRange, b: TimeRange) -> list[MetricChange]:
    """All metrics of one kind that differ between two windows, with their scores."""
    metrics = [column for column in kind.columns if _comparable(column)]
    if not metrics or reader.bounds(kind.table) is None:
        return []
    labels = _labels(kind)
    before, after = (_parts(reader, kind, metrics, labels, _window(kind, when)) for when in (a, b))
    was_recorded, is_recorded = (_is_recorded(reader, kind, when) for when in (a, b))
    differences: list[MetricChange] = []
    for entity in sorted(before.keys() | after.keys(), key=str):
        who = decoded(kind, dict(zip(labels, entity, strict=True)))
        for name, unit, absent in _measures(kind, metrics, a):
            parts_a, parts_b = before.get(entity, {}).get(name, []), after.get(entity, {}).get(name, [])
            was = _median(parts_a) if parts_a else absent if was_recorded else None
            now = _median(parts_b) if parts_b else absent if is_recorded else None
            score = _score(was, now, max(_mad(parts_a), _mad(parts_b)), unit)
            if (parts_a or parts_b) and score:
                differences.append(
                    {
                        "table": kind.table,
                        "metric": name,
                        "entity": who,
                        "unit": unit,
                        "before": was,
                        "after": now,
                        "change": (now or 0.0) - (was or 0.0),
                        "factor": now / was if was and now is not None else None,
                        "score": score,
                    }
                )
    return differences


def _is_recorded(reader: Reader, kind: Kind, when: TimeRange) -> bool:
    """Whether a window without rows of a kind means that there was nothing, and not that nobody recorded it."""
    if last_row(reader, (kind.name,), when) is not None:
        return True
    recorded = last_row(reader, STEADY, when) is not None or last_row(reader, STEADY, EVERYTHING) is None
    return recorded and kind.name not in STEADY


def least_that_matters(unit: str) -> float:
    """A change smaller than this, in the unit of a metric's points, is of no interest to anybody."""
    return _LEAST.get(unit.removesuffix("/s"), _LEAST_OTHERWISE)


def _window(kind: Kind, when: TimeRange) -> _Window:
    """Parts long enough to hold two samples of an entity."""
    sample_ns = int((kind.interval_s or 0.5) * 2e9)
    return _Window(when, max(1, min(PARTS, when.length_ns // sample_ns)))


def _labels(kind: Kind) -> tuple[str, ...]:
    """What tells the compared things apart: entities, but of what occurs by itself the name of the process."""
    if kind.interval_s is None:
        return ("comm",) if "comm" in kind.by_name else ()
    return tuple(dict.fromkeys((*kind.entity, *(("comm",) if "comm" in kind.by_name else ()))))


def _comparable(column: Column) -> bool:
    return column.type in {"INTEGER", "REAL"} and not isinstance(column.semantics, Label)


def _measures(kind: Kind, metrics: Sequence[Column], when: TimeRange) -> list[tuple[str, str, float | None]]:
    """Name, unit, and the value that no row means, of each metric."""
    selection = Selection(kind, tuple(column.name for column in metrics), when)
    own = [
        (column.name, unit_of(selection, column.name), None if isinstance(column.semantics, Gauge) else 0.0)
        for column in metrics
    ]
    return [*own, ("rows/s", "rows/s", 0.0)] if kind.interval_s is None else own


def _parts(
    reader: Reader, kind: Kind, metrics: Sequence[Column], labels: Sequence[str], window: _Window
) -> dict[Key, dict[str, list[float]]]:
    """The mean of each metric in each part of a window, by entity; a part without rows is left out, or 0 for counts."""
    selection = Selection(kind, tuple(column.name for column in metrics), window.when, keep=tuple(labels))
    points = points_sql(reader, selection)
    part = reader.dialect.int_div(f"timestamp - {window.when.start_ns}", str(window.width))
    head = "".join(f"{name}, " for name in labels)
    means = "".join(f", AVG({column.name}) AS {column.name}" for column in metrics)
    cut = f"SELECT {part} AS part, points.* FROM ({points.text}) AS points"
    text = f"SELECT {head}part, COUNT(*) AS row_count{means} FROM ({cut}) AS cut GROUP BY {head}part"
    parts: dict[Key, dict[str, list[float]]] = {}
    rows_in: dict[Key, int] = {}
    for row in run(reader, Sql(text, points.params)):
        entity = tuple(row[name] for name in labels)
        values = parts.setdefault(entity, {})
        rows_in[entity] = rows_in.get(entity, 0) + 1
        values.setdefault("rows/s", []).append(_number(row["row_count"]) * 1e9 / window.width)
        for column in metrics:
            value = row[column.name]
            if isinstance(value, (int, float)):
                values.setdefault(column.name, []).append(float(value))
    counted = {"rows/s", *(column.name for column in metrics if isinstance(column.semantics, Delta))}
    for entity, values in parts.items():
        for name in counted & values.keys():
            values[name].extend([0.0] * (window.parts - rows_in[entity]))
    return parts


def _score(was: float | None, now: float | None, spread: float, unit: str) -> float:
    """See the module: how far apart two medians are, in units of what would be no change."""
    high = max(abs(was or 0.0), abs(now or 0.0))
    change = abs((now or 0.0) - (was or 0.0))
    score = change / (_MAD_TO_SIGMA * spread + _SHARE_THAT_MATTERS * high + least_that_matters(unit))
    return round(score / 2 if was is None or now is None else score, 3)


def _mad(values: list[float]) -> float:
    middle = _median(values) if values else 0.0
    return _median([abs(value - middle) for value in values]) if values else 0.0


def _median(values: list[float]) -> float:
    from statistics import median  # noqa: PLC0415 - 4 ms, which `kernelsight query --help` needs not

    return median(values)


def _number(value: object) -> float:
    assert isinstance(value, (int, float)), value
    return value
