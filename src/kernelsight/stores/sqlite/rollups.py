"""Rollups: what a segment says in short, made when it is full, kept when its rows are gone.

For each kind there are two tables, ``<table>_1m`` and ``<table>_1h``. A row is a *partial* summary: of
one segment's rows of one entity within one minute or hour. A minute that lies in two segments has
two rows, and so has one with late rows; whoever reads adds them up:

    SELECT timestamp, pid, sum(rows) AS rows, sum(latency_ns_sum) / sum(latency_ns_count) AS mean,
      max(latency_ns_max) AS worst
    FROM syscall_events_1m GROUP BY timestamp, pid

Rows that leave a segment before it is full are summarised first, too, under the negative number of the segment.

Each column that measures has ``_count`` (of values that are not NULL), ``_sum``, ``_min`` and ``_max``. A counter has
``_falls`` instead of ``_sum``, which means nothing: how often it was lower than in the row that arrived before it.
Where that is 0, it grew by ``_max`` less ``_min``; elsewhere, and where it is NULL, what it grew by is not known. From
one row of an entity to the next (of partial ones by segment) it grew by ``_min`` less the ``_max`` before, or fell.
Latencies of single events also have ``_sketch``: a JSON object of the DDSketch kind (Masson, Rim, Lee:
DDSketch, VLDB 2019), from bin to count, where bin ``i`` holds the values of (g^(i-1), g^i] with
g = 1.02 / 0.98, so that any quantile is within 2 % of the truth; sketches are merged by adding up
the counts of equal bins (see :func:`merge` and :func:`quantile`); the bin ``zero`` holds what is not positive.
"""

from __future__ import annotations

import collections
import json
import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

import apsw

from kernelsight.events.declare import Column, Counter, Gauge, Kind, Label
from kernelsight.stores.sqlite.connect import integer
from kernelsight.stores.sqlite.ddl import quote, quoted
from kernelsight.stores.sqlite.schema import column_names
from kernelsight.stores.sqlite.segments import Segment

ACCURACY = 0.02
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
STEPS = {"1m": 60 * 10**9, "1h": 3600 * 10**9}
"""Suffix of the table and length of its steps in ns."""

ROWS_AT_ONCE = 20_000
"""Summed up in one step: 0.05 s."""
LEAST_ROWS_A_MINUTE = 10
LARGE_SEGMENT = 10_000
"""Of a segment with so many rows, minutes are kept only where each sums up so many of them on average: what has a new
entity for nearly every row, as waits have, would take as much again as its rows (benchmarks/day.py)."""

ZERO = "zero"
_OF_ROWS = {"count": "count", "sum": "total", "min": "min", "max": "max"}
"""What becomes of a column's values, by part; sum() may overflow, total() cannot."""
_OF_PARTS = {"count": "sum", "sum": "total", "falls": "sum", "min": "min", "max": "max"}
"""And of the parts, when they are added up."""


def _parts(metric: Column) -> tuple[str, ...]:
    """What is kept of a column."""
    return ("count", "falls" if _falls(metric) else "sum", "min", "max")


def _falls(metric: Column) -> bool:
    """Whether falls are counted: of what only grows."""
    return isinstance(metric.semantics, Counter)


def metrics(kind: Kind) -> list[Column]:
    """The columns that measure something."""
    return [column for column in kind.columns if not isinstance(column.semantics, Label) and column.type != "TEXT"]


def sketched(kind: Kind) -> Column | None:
    """The column of which quantiles are kept: the latency, where every event is one occurrence."""
    latencies = [column for column in metrics(kind) if column.name.startswith("latency_")]
    if kind.interval_s is not None or not latencies or not isinstance(latencies[0].semantics, Gauge):
        return None
    return latencies[0]


def rollup_name(table: str, suffix: str) -> str:
    """Name of a rollup table."""
    return f"{table}_{suffix}"


def rollups_in(connection: apsw.Connection, tables: Iterable[str]) -> list[str]:
    """The rollups of some tables that there are."""
    names = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [name for table in tables for suffix in STEPS if (name := rollup_name(table, suffix)) in names]


def _columns(kind: Kind) -> dict[str, str]:
    """The columns of a rollup table, with their types."""
    columns = {"timestamp": "INTEGER NOT NULL", "segment": "INTEGER NOT NULL"}
    columns |= dict.fromkeys(kind.entity, "")
    columns["rows"] = "INTEGER NOT NULL"
    for metric in metrics(kind):
        columns |= {f"{metric.name}_{part}": "" for part in _parts(metric)}
    if latency := sketched(kind):
        columns[f"{latency.name}_sketch"] = "TEXT"
    return columns


def prepare_rollups(connection: apsw.Connection, kind: Kind) -> None:
    """Make the rollup tables of a kind, or add the columns that they lack; within a transaction."""
    for name in (rollup_name(kind.table, suffix) for suffix in STEPS):
        stored = column_names(connection, name)
        wanted = _columns(kind)
        if not stored:
            definitions = ", ".join(f"{quote(column)} {declared}" for column, declared in wanted.items())
            connection.execute(f"CREATE TABLE {quote(name)} ({definitions})")
            connection.execute(f"CREATE INDEX {quote(name + '_timestamp')} ON {quote(name)} (timestamp)")
            continue
        for column, declared in wanted.items():
            if column not in stored:
                connection.execute(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(column)} {declared}")


def summarise(connection: apsw.Connection, kind: Kind, segment: Segment) -> None:
    """Put a full segment's rows into the rollups, instead of what it put there before; within a transaction."""
    summing = Summing(connection, kind, segment)
    while summing.take():
        pass
    summing.put()


class Summing:
    """A full segment's rollups in the making, some rows at a time, so that a batch waits for a part of it at most."""

    def __init__(self, connection: apsw.Connection, kind: Kind, segment: Segment) -> None:
        """Begin with the first row."""
        self.segment = segment
        self._connection = connection
        self._kind = kind
        self._next_id: int | None = None
        self._name = f"temp.{quote(segment.name + '_summing')}"
        connection.execute(f"DROP TABLE IF EXISTS {self._name}")

    def take(self) -> bool:
        """Sum up the next rows, without a lock; False when all are."""
        name = quote(self.segment.name)
        first = integer(self._connection, f"SELECT min(id) FROM {name}") if self._next_id is None else self._next_id
        if first is None:
            return False
        # An id is the greatest of so many from the first on, or of all where there are fewer.
        last = integer(
            self._connection,
            f"SELECT max(id) FROM (SELECT id FROM {name} WHERE id >= ? ORDER BY id LIMIT ?)",
            (first, ROWS_AT_ONCE),
        )
        if last is None:
            return False
        source = f"(SELECT * FROM {name} WHERE id BETWEEN {first} AND {last})"
        before = None if self._next_id is None else self._before(name, first)
        rows = _summaries(self._kind, source, STEPS["1m"], before)
        begin = (
            f"CREATE TEMP TABLE {self._name.removeprefix('temp.')} AS"
            if before is None
            else f"INSERT INTO {self._name}"
        )
        self._connection.execute(f"{begin} {rows}")
        self._next_id = last + 1
        return True

    def _before(self, name: str, first: int) -> str:
        """The row of each entity that arrived last before the ones that are next: a fall may lie between them."""
        by = f" GROUP BY {quoted(self._kind.entity)}" if self._kind.entity else ""
        return f"SELECT * FROM {name} WHERE id IN (SELECT max(id) FROM {name} WHERE id < {first}{by})"

    def put(self) -> None:
        """Put the sums into the rollups, within a transaction."""
        connection, kind, segment = self._connection, self._kind, self.segment
        prepare_rollups(connection, kind)
        minutes, hours = (rollup_name(kind.table, suffix) for suffix in STEPS)
        for target in (minutes, hours):
            connection.execute(f"DELETE FROM {quote(target)} WHERE segment = ?", (segment.number,))
        if self._next_id is None:
            return
        latency = sketched(kind)
        name = latency.name if latency else ""
        counted = quote(f"{name}_count")
        from_bins = f"json_group_object(bin, {counted}) FILTER (WHERE {counted} > 0)"
        from_sketches = f"merge_sketches({quote(name + '_sketch')})"
        connection.execute(_combined(kind, minutes, _added_up(kind, self._name), from_bins), (segment.number,))
        of_segment = f"SELECT *, {_step(STEPS['1h'])} AS step FROM {quote(minutes)} WHERE segment = ?1"
        connection.execute(_combined(kind, hours, of_segment, from_sketches), (segment.number,))
        if segment.rows >= LARGE_SEGMENT and connection.execute(
            f"SELECT count(*) > ? FROM {quote(minutes)} WHERE segment = ?",
            (segment.rows // LEAST_ROWS_A_MINUTE, segment.number),
        ).fetchall() == [(1,)]:
            connection.execute(f"DELETE FROM {quote(minutes)} WHERE segment = ?", (segment.number,))
        connection.execute(f"DROP TABLE {self._name}")


def summarise_parting(connection: apsw.Connection, kind: Kind, segment: Segment, cut_ns: int, most: int) -> None:
    """Put the rows that :func:`parting_ids` names into the rollups, before they leave; within a transaction.

    They stand there under the negative number of the segment, so that :func:`summarise` keeps them.

    Args:
        connection: the writer's.
        kind: of the segment's table.
        segment: where the rows are.
        cut_ns: only older rows.
        most: so many rows at most.
    """
    prepare_rollups(connection, kind)
    latency = sketched(kind)
    counted = quote(f"{latency.name}_count") if latency else ""
    from_bins = f"json_group_object(bin, {counted}) FILTER (WHERE {counted} > 0)"
    source = f"(SELECT * FROM {quote(segment.name)} WHERE id IN ({parting_ids(segment, '?2', most)}))"
    for suffix, length in STEPS.items():
        rows = _summaries(kind, source, length)
        statement = _combined(kind, rollup_name(kind.table, suffix), rows, from_bins)
        connection.execute(statement, (-segment.number, cut_ns))


def parting_ids(segment: Segment, cut: str, most: int) -> str:
    """SELECT the ids of the oldest rows of a segment that lie before a cut: a placeholder in ns since the epoch."""
    return f"SELECT id FROM {quote(segment.name)} WHERE timestamp < {cut} ORDER BY id LIMIT {most}"


def _step(length: int) -> str:
    return f"timestamp / {length} * {length}"


def _added_up(kind: Kind, source: str) -> str:
    """Summaries of parts of a segment, added up by step, entity and bin."""
    keys = ["step", *map(quote, kind.entity), *(["bin"] if sketched(kind) else [])]
    values = [
        f"{_OF_PARTS[part]}({quote(f'{metric.name}_{part}')}) AS {quote(f'{metric.name}_{part}')}"
        for metric in metrics(kind)
        for part in _parts(metric)
    ]
    selected = ", ".join((*keys, "sum(rows) AS rows", *values))
    return f"SELECT {selected} FROM {source} GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}"


def _summaries(kind: Kind, source: str, length: int, before: str | None = None) -> str:
    """Rows of a segment by step and entity and, where there is a sketch, by bin of the latency.

    Args:
        kind: of the segment's table.
        source: the rows, in parentheses or a table.
        length: of a step, in ns.
        before: SELECT of rows that came before them, which are not summed up and only tell whether a counter fell.
    """
    latency = sketched(kind)
    keys = [f"{_step(length)} AS step", *map(quote, kind.entity), *([_bin(latency.name)] if latency else [])]
    values = [
        f"{_of_rows(metric, part)} AS {quote(f'{metric.name}_{part}')}"
        for metric in metrics(kind)
        for part in _parts(metric)
    ]
    selected = ", ".join((*keys, "count(*) AS rows", *values))
    of = f"({_with_falls(kind, source, before)})" if any(map(_falls, metrics(kind))) else source
    return f"SELECT {selected} FROM {of} GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}"


def _of_rows(metric: Column, part: str) -> str:
    if part == "falls":
        return f"CAST(total({quote(f'{metric.name}_falls')}) AS INTEGER)"
    return f"{_OF_ROWS[part]}({quote(metric.name)})"


def _with_falls(kind: Kind, source: str, before: str | None) -> str:
    """Rows, and of each counter whether it is lower than in the row of its entity that arrived before."""
    falls = ", ".join(
        f"{quote(metric.name)} < lag({quote(metric.name)}) OVER own AS {quote(f'{metric.name}_falls')}"
        for metric in filter(_falls, metrics(kind))
    )
    by = f"PARTITION BY {quoted(kind.entity)} " if kind.entity else ""
    window = f"WINDOW own AS ({by}ORDER BY id)"
    if before is None:
        return f"SELECT *, {falls} FROM {source} {window}"
    rows = f"(SELECT *, 1 AS counts FROM {source} UNION ALL SELECT *, 0 FROM ({before}))"
    return f"SELECT * FROM (SELECT *, {falls} FROM {rows} {window}) WHERE counts"


def _combined(kind: Kind, target: str, source: str, sketch: str) -> str:
    """Summaries added up by step and entity, into a rollup."""
    parts = {f"{metric.name}_{part}": _OF_PARTS[part] for metric in metrics(kind) for part in _parts(metric)}
    names = ["timestamp", *kind.entity, "segment", "rows", *parts]
    values = ["step", *map(quote, kind.entity), "?1", "sum(rows)"]
    values += [f"{function}({quote(name)})" for name, function in parts.items()]
    if latency := sketched(kind):
        names.append(f"{latency.name}_sketch")
        values.append(sketch)
    keys = ", ".join(str(number + 1) for number in range(1 + len(kind.entity)))
    return f"INSERT INTO {quote(target)} ({quoted(names)}) SELECT {', '.join(values)} FROM ({source}) GROUP BY {keys}"


def _bin(column: str) -> str:
    name = quote(column)
    number = f"CAST(ceil(ln({name}) / {math.log(GAMMA)!r}) AS INTEGER)"
    return f"CASE WHEN {name} > 0 THEN {number} ELSE '{ZERO}' END AS bin"


def merge(sketches: Iterable[str | None]) -> dict[str, int]:
    """Add sketches up."""
    bins: collections.Counter[str] = collections.Counter()
    for sketch in sketches:
        if sketch is not None:
            bins.update(json.loads(sketch))
    return dict(bins)


def quantile(sketch: dict[str, int], share: float) -> float | None:
    """The value below which a share (0 to 1) of the values lies, within 2 %; None of an empty sketch."""
    total = sum(sketch.values())
    if not total:
        return None
    bins = sorted((-math.inf if name == ZERO else int(name), count) for name, count in sketch.items())
    reached = list(accumulate(count for _, count in bins))
    number = bins[bisect_right(reached, share * (total - 1))][0]
    return 0.0 if number == -math.inf else 2 * GAMMA**number / (GAMMA + 1)


class _Merging:
    """The aggregate function ``merge_sketches`` of the writer's connection."""

    def __init__(self) -> None:
        self._sketches: list[str] = []

    def step(self, *values: apsw.SQLiteValue) -> None:
        """Take one sketch."""
        self._sketches.extend(value for value in values if isinstance(value, str))

    def final(self) -> str:
        """Give their sum."""
        return json.dumps(merge(self._sketches), separators=(",", ":"))


def register_functions(connection: apsw.Connection) -> None:
    """Give the writer's connection the function that the statements here use."""
    connection.create_aggregate_function("merge_sketches", _Merging)
