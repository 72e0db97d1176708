"""Values of one metric summed up: over intervals, or over a whole range."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal, get_args

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX, Kind
from kernelsight.query import ranks
from kernelsight.query.dialect import Sql, run
from kernelsight.query.filters import Where, conditions
from kernelsight.query.planner import explainable, scan
from kernelsight.query.points import Selection, is_level, metric_named, points_sql, require_addable
from kernelsight.query.rows import Row, decoded
from kernelsight.query.source import Source, clipped, columns_named, kind_named, opened
from kernelsight.query.times import Duration, Time, TimeRange, parse_duration, time_range
from kernelsight.stores.base import Reader, Value
from kernelsight.stores.dialect import Dialect

Method = Literal["nearest", "linear"]
"""Which percentile: ``nearest`` is nearest-rank, the smallest value that at least p % of all values do not
exceed, always one that occurred; ``linear`` interpolates between the two values beside (n - 1) p / 100, as
numpy and spreadsheets do. Both are exact."""

FUNCTIONS = ("avg", "min", "max", "sum", "count", "rate")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,4})?|100)", re.ASCII)
_MOST_BUCKETS = 100_000


@explainable
def aggregate(  # noqa: PLR0913, PLR0917 - a question has as many parts, all but the first six by keyword
    source: Source,
    table: str,
    metric: str | None,
    start: Time,
    end: Time = "now",
    interval: Duration = "1m",
    *,
    functions: Sequence[str] = ("count", "min", "avg", "max"),
    by: Iterable[str] | str = (),
    where: Where = (),
    raw: bool = False,
    method: Method = "nearest",
    explain: bool = False,  # noqa: ARG001 - of the decorator
) -> list[Row]:
    """A metric per interval; intervals are aligned to multiples of their length since the epoch (UTC).

    Args:
        source: the store.
        table: name of a table or kind.
        metric: one of its numeric columns. For a counter, all functions but ``sum`` see its rates a second,
            and ``sum`` adds up its increases. None counts rows: only ``count`` and ``rate`` then.
        start: first moment.
        end: last moment.
        interval: length of an interval.
        functions: of ``avg min max sum count rate`` and percentiles such as ``p95`` or ``p99.9``. ``rate`` is
            per second: of a counter the sum over its entities, of a per-interval sum or of rows their sum over
            the part of the interval that lies in the range.
        by: columns to group by besides the interval.
        where: conditions on rows.
        raw: counters as stored.
        method: which percentile, see :data:`Method`.
        explain: give how the question was answered instead, see :func:`kernelsight.query.planner.explain`.

    Returns:
        one dict an interval and group that has rows, ordered by time: ``timestamp`` and ``time`` of the
        interval's start, the columns of ``by``, and each function under its name (None without a value).
    """
    kind = kind_named(table)
    keep = columns_named(kind, by)
    if metric is not None:
        metric_named(kind, metric)
    wanted = [_function(kind, metric, name, raw=raw) for name in functions]
    _check_method(method)
    when, width = time_range(start, end), parse_duration(interval)
    if width < 1:
        raise UsageError("an interval must be longer than 0")
    with opened(source) as reader:
        part = clipped(reader, kind.table, when)
        if part is None:
            return []
        if part.length_ns // width > _MOST_BUCKETS:
            raise UsageError(f"more than {_MOST_BUCKETS} intervals; ask for longer ones or a shorter range")
        selection = Selection(kind, (metric,) if metric else (), part, tuple(conditions(where)), raw=raw, keep=keep)
        buckets = scan(
            reader, [(kind.table, part)], lambda using: _Buckets(using, selection, when, width).table(wanted, method)
        )
    return [decoded(kind, buckets[key]) for key in sorted(buckets, key=_by_time)]


@explainable
def percentiles(  # noqa: PLR0913 - as above
    source: Source,
    table: str,
    metric: str,
    start: Time,
    end: Time = "now",
    *,
    ps: Sequence[float] = (50, 95, 99),
    by: Iterable[str] | str = (),
    where: Where = (),
    raw: bool = False,
    method: Method = "nearest",
    explain: bool = False,  # noqa: ARG001 - of the decorator
) -> list[Row]:
    """Exact percentiles of a metric over a range; for a counter, of its rates a second.

    Returns:
        one dict a group: the columns of ``by``, ``count``, and ``p50``, ``p95``, ... as asked; greatest
        last percentile first. Without ``by`` one dict, or none when there are no values.
    """
    kind = kind_named(table)
    metric_named(kind, metric)
    keep = columns_named(kind, by)
    names = [_percentile_name(p) for p in ps]
    _check_method(method)
    when = time_range(start, end)
    with opened(source) as reader:
        part = clipped(reader, kind.table, when)
        if part is None:
            return []
        selection = Selection(kind, (metric,), part, tuple(conditions(where)), raw=raw, keep=keep)
        groups = scan(
            reader,
            [(kind.table, part)],
            lambda using: percentile_rows(using, points_sql(using, selection), metric, keep, names, method),
        )
    ordered = sorted(groups.items(), key=lambda item: (-_number(item[1][names[-1]]) if names else 0, str(item[0])))
    return [decoded(kind, dict(zip(keep, key, strict=True))) | row for key, row in ordered]


def percentile_rows(  # noqa: PLR0913, PLR0917 - the parts of one statement
    reader: Reader, sql: Sql, metric: str, groups: Sequence[str], names: Sequence[str], method: Method
) -> dict[tuple[Value, ...], Row]:
    """Percentiles of a column of a SELECT, by group: ``count`` and one entry a name."""
    dialect = reader.dialect
    if method == "nearest" and names and (ranked := dialect.nearest_ranks(metric, [_share(name) for name in names])):
        return _ranked_rows(reader, sql, metric, groups, names, ranked)
    shares = {name: _share(name) for name in names}
    ranks = " OR ".join(f"rank IN ({', '.join(_ranks(dialect, share, method))})" for share in shares.values())
    head = "".join(f"{name}, " for name in groups)
    partition = f"PARTITION BY {', '.join(groups)} " if groups else ""
    text = (
        f"SELECT {head}rank, total, value FROM (SELECT {head}{metric} AS value,"
        f" ROW_NUMBER() OVER ({partition}ORDER BY {metric}) AS rank, COUNT(*) OVER ({partition.rstrip()}) AS total"
        f" FROM ({sql.text}) AS points WHERE {metric} IS NOT NULL) AS ranked WHERE {ranks or 'rank = 1'}"
    )
    values: dict[tuple[Value, ...], dict[int, float]] = {}
    totals: dict[tuple[Value, ...], int] = {}
    for row in run(reader, Sql(text, sql.params)):
        key = tuple(row[name] for name in groups)
        values.setdefault(key, {})[int(_number(row["rank"]))] = _number(row["value"])
        totals[key] = int(_number(row["total"]))
    return {
        key: {"count": totals[key], **{name: _pick(ranked, totals[key], shares[name], method) for name in names}}
        for key, ranked in values.items()
    }


def _ranked_rows(  # noqa: PLR0913, PLR0917 - as above
    reader: Reader, sql: Sql, metric: str, groups: Sequence[str], names: Sequence[str], ranked: Sequence[str]
) -> dict[tuple[Value, ...], Row]:
    """As :func:`percentile_rows`, where the store has an aggregate for them."""
    if not groups and (answer := _among_many(reader, sql, metric, names)):
        return {(): answer}
    head = "".join(f"{name}, " for name in groups)
    by = f" GROUP BY {', '.join(groups)}" if groups else " HAVING COUNT(*) > 0"
    values_sql = ", ".join(ranked)
    text = f"SELECT {head}COUNT(*) AS total, {values_sql} FROM ({sql.text}) AS points WHERE {metric} IS NOT NULL{by}"
    rows: dict[tuple[Value, ...], Row] = {}
    for row in reader.tuples(text, sql.params):
        key, (total, *values) = row[: len(groups)], row[len(groups) :]
        rows[key] = {"count": total, **dict(zip(names, values, strict=True))}
    return rows


def _among_many(reader: Reader, sql: Sql, metric: str, names: Sequence[str]) -> Row | None:
    """Percentiles of so many values that they are not collected; None where there are fewer, or that does not go."""
    [(total,)] = reader.tuples(f"SELECT COUNT({metric}) FROM ({sql.text}) AS points", sql.params)
    if not isinstance(total, int) or total <= ranks.MOST_COLLECTED:
        return None
    answer: Row = {"count": total}
    for name in names:
        answer[name] = ranks.value_at(reader, sql, metric, total, _share(name))
    return None if None in answer.values() else answer


class _Buckets:
    """The statements for one selection cut into intervals, and their answers joined."""

    def __init__(self, reader: Reader, selection: Selection, when: TimeRange, width: int) -> None:
        self.reader = reader
        self.selection = selection
        self.when = when
        self.width = width
        self.metric = selection.metrics[0] if selection.metrics else None
        labels = "".join(f", {name}" for name in selection.labels)
        parts = f", {self.metric}__increase, {self.metric}__ns" if selection.counters else ""
        value = f", {self.metric}" if self.metric else ""
        points = points_sql(reader, selection)
        start = f"{reader.dialect.int_div('points.timestamp', str(width))} * {width}"
        self.base = Sql(f"SELECT {start} AS bucket{labels}{value}{parts} FROM ({points.text}) AS points", points.params)
        self.groups = ("bucket", *selection.keep)

    def table(self, functions: Sequence[str], method: Method) -> dict[tuple[Value, ...], Row]:
        """All functions, by interval and group."""
        simple = [name for name in functions if name in FUNCTIONS and name != "rate"]
        ranked = [name for name in functions if name not in FUNCTIONS]
        answers = [self._simple(simple)]
        if "rate" in functions:
            answers.append(self._rate())
        if ranked and self.metric:
            answers.append(percentile_rows(self.reader, self.base, self.metric, self.groups, ranked, method))
        joined: dict[tuple[Value, ...], Row] = {}
        for key in answers[0]:
            values = {name: value for answer in answers for name, value in answer.get(key, {}).items()}
            labels = dict(zip(("timestamp", *self.selection.keep), key, strict=True))
            joined[key] = labels | {name: values.get(name) for name in functions}
        return joined

    def _simple(self, functions: Sequence[str]) -> dict[tuple[Value, ...], Row]:
        summed = f"{self.metric}__increase" if self.selection.counters else self.metric
        columns = [
            f"{name.upper()}({(summed if name == 'sum' else self.metric) or '*'}) AS {name}" for name in functions
        ]
        return self._grouped(", ".join(["COUNT(*) AS samples", *columns]), self.base)

    def _rate(self) -> dict[tuple[Value, ...], Row]:
        if self.selection.counters:
            each = ", ".join(dict.fromkeys((*self.groups, *self.selection.kind.entity)))
            text = (
                f"SELECT {each}, SUM({self.metric}__increase) * 1e9 / SUM({self.metric}__ns) AS one"
                f" FROM ({self.base.text}) AS grown GROUP BY {each}"
            )
            return self._grouped("SUM(one) AS rate", Sql(text, self.base.params))
        answer = self._grouped(f"SUM({self.metric}) AS total" if self.metric else "COUNT(*) AS total", self.base)
        for key, row in answer.items():
            total = row["total"]
            row["rate"] = None if total is None else _number(total) * 1e9 / self._covered_ns(int(_number(key[0])))
        return answer

    def _grouped(self, columns: str, sql: Sql) -> dict[tuple[Value, ...], Row]:
        groups = ", ".join(self.groups)
        text = f"SELECT {groups}, {columns} FROM ({sql.text}) AS cut GROUP BY {groups}"
        rows = run(self.reader, Sql(text, sql.params))
        return {tuple(row[name] for name in self.groups): row for row in rows}

    def _covered_ns(self, bucket: int) -> int:
        """How much of an interval lies within the range that was asked for."""
        start = max(bucket, self.when.start_ns)
        return max(1, min(bucket + self.width, self.when.end_ns, INT64_MAX) - start)


def _function(kind: Kind, metric: str | None, name: str, *, raw: bool) -> str:
    if name not in FUNCTIONS and not _PERCENTILE.fullmatch(name):
        raise UsageError(f"no function {name!r}; there are {', '.join(FUNCTIONS)} and percentiles such as p95")
    if metric is None:
        if name not in {"count", "rate"}:
            raise UsageError(f"{name} of which metric? without a metric only count and rate of rows work")
    elif name == "rate" and (raw or is_level(kind.by_name[metric])):
        raise UsageError(f"{kind.table}.{metric} is a level, not a count; it has no rate")
    elif name == "sum":
        require_addable(kind, metric)
    return name


def _check_method(method: str) -> None:
    if method not in get_args(Method):
        raise UsageError(f"no method {method!r}; there are {' and '.join(get_args(Method))}")


def _percentile_name(p: float) -> str:
    name = f"p{p:g}"
    if not _PERCENTILE.fullmatch(name):
        raise UsageError(f"{p} is not a percentile between 0 and 100 (at most four decimals)")
    return name


def _share(name: str) -> Fraction:
    """``p99.9`` as 999/1000, exactly."""
    return Fraction(name[1:]) / 100


def _ranks(dialect: Dialect, share: Fraction, method: Method) -> list[str]:
    """The ranks (from 1) whose values a percentile is made of, as expressions over ``total``."""
    top, bottom = share.numerator, share.denominator
    if method == "nearest":
        rank = dialect.int_div(f"total * {top} + {bottom - 1}", str(bottom))
        return [rank] if top else ["1"]
    below = dialect.int_div(f"(total - 1) * {top}", str(bottom))
    return [f"{below} + 1", f"{below} + 2"]


def _pick(ranked: dict[int, float], total: int, share: Fraction, method: Method) -> float:
    if method == "nearest":
        return ranked[max(1, -(-(total * share.numerator) // share.denominator))]
    below, rest = divmod((total - 1) * share, 1)
    low = ranked[int(below) + 1]
    return low if not rest else low + (ranked[int(below) + 2] - low) * float(rest)


def _number(value: Value) -> float:
    assert isinstance(value, (int, float)), value
    return value


def _by_time(key: tuple[Value, ...]) -> tuple[float, tuple[str, ...]]:
    return _number(key[0]), tuple(str(part) for part in key[1:])
