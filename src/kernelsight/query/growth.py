"""The rule of :mod:`kernelsight.events.deltas` in SQL: what a counter grew by at each row, and in which time.

Where no counter of a range falls, or is NULL between two values, the difference to the row before is what the rule
says, and costs one look back. Which counters need the whole rule is asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.events.declare import Counter, Kind
from kernelsight.events.deltas import (
    BEYOND,
    LAST_OF_WRAP,
    LEAST_PACE,
    LIVELIER,
    ON_COURSE,
    REACH,
    SHORT_STEP,
    WRAP,
)
from kernelsight.query.clock_steps import Step, clock_steps
from kernelsight.query.dialect import Sql
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader, Value
from kernelsight.stores.dialect import Dialect

_PER_SECOND = 1_000_000_000
ELAPSED = "elapsed"
"""Column of a relation of :func:`with_growth`: time (ns) since the entity's row before; NULL in its first."""


@dataclass(frozen=True, slots=True)
class _Order:
    """An order of rows, and what counters do in it."""

    columns: str
    falls: int
    back: bool
    """Whether the clock goes back in it."""
    longest_ns: int
    """The longest time between two rows of an entity."""
    falling: frozenset[str]
    """Counters that fall, or are known again after a NULL."""


def _order(reader: Reader, kind: Kind, counters: Sequence[str], samples: Sql) -> _Order:
    """The order in which rows follow each other: see :func:`kernelsight.events.deltas.in_order`."""
    arrival = _in(reader, kind, counters, samples, "id")
    if not arrival.back:
        return arrival
    stamps = _in(reader, kind, counters, samples, "timestamp, id")
    return stamps if stamps.falls <= arrival.falls else arrival


def _in(reader: Reader, kind: Kind, counters: Sequence[str], samples: Sql, order: str) -> _Order:
    dialect, entity = reader.dialect, ", ".join(kind.entity)
    before = "".join(f", {dialect.lag(name, entity, order)} AS {name}__before" for name in counters)
    first = dialect.lag("timestamp", entity, order)
    inner = (
        f"SELECT timestamp, {', '.join(counters)}{before}, {first} AS stamp__before FROM ({samples.text}) AS samples"
    )
    tests = [
        (f"{name} < {name}__before", f"{name} IS NOT NULL AND {name}__before IS NULL AND stamp__before IS NOT NULL")
        for name in counters
    ]
    falls = [f"COALESCE(SUM(CASE WHEN {fell} THEN 1 END), 0)" for fell, _ in tests]
    gaps = [f"COALESCE(MAX(CASE WHEN {known} THEN 1 END), 0)" for _, known in tests]
    back = "COALESCE(MAX(CASE WHEN timestamp < stamp__before THEN 1 END), 0)"
    longest = "COALESCE(MAX(timestamp - stamp__before), 0)"
    chosen = ", ".join([back, longest, *falls, *gaps])
    [(goes_back, longest_ns, *sums)] = reader.tuples(f"SELECT {chosen} FROM ({inner}) AS pairs", samples.params)
    fallen, unknown = sums[: len(counters)], sums[len(counters) :]
    falling = frozenset(name for name, *signs in zip(counters, fallen, unknown, strict=True) if any(signs))
    return _Order(order, sum(map(_integer, fallen)), bool(goes_back), _integer(longest_ns), falling)


def _integer(value: Value) -> int:
    assert isinstance(value, int)
    return value


def with_growth(  # noqa: PLR0913, PLR0917 - the parts of one statement
    reader: Reader, kind: Kind, counters: Sequence[str], columns: Iterable[str], samples: Sql, when: TimeRange
) -> Sql:
    """The columns of some rows, and of each counter ``c`` what it grew by, as ``c__grown``, in ``c__elapsed`` ns.

    Args:
        reader: whose dialect to write.
        kind: what the rows are.
        counters: columns that are counters.
        columns: those to hand on; ``timestamp`` is among them.
        samples: SELECT rows in any order, with ``id``, which follows their arrival.
        when: the range that they are of.

    Returns:
        a SELECT; both are NULL where it is not known what the counter grew by.
    """
    dialect, entity = reader.dialect, ", ".join(kind.entity)
    order = _order(reader, kind, counters, samples)
    falling = [name for name in counters if name in order.falling]
    calm = [name for name in counters if name not in order.falling]
    kept = ", ".join(dict.fromkeys(columns))
    looks = [f"timestamp - {dialect.lag('timestamp', entity, order.columns)} AS {ELAPSED}"]
    looks += [f"{dialect.lag(name, entity, order.columns)} AS {name}__1" for name in calm]
    for name in falling:
        looks += _looks(dialect, name, kind.entity, order.columns)
    text = f"SELECT {kept}, {', '.join(looks)} FROM ({samples.text}) AS samples"
    if falling:
        peaks = ", ".join(f"{_peak(dialect, name)} AS {name}__peak" for name in falling)
        text = dialect.apart(f"SELECT looks.*, {peaks} FROM ({text}) AS looks")
        places = ", ".join(_places(name) for name in falling)
        text = dialect.apart(f"SELECT peaks.*, {places} FROM ({text}) AS peaks")
    away_ns = int((kind.interval_s or 1.0) * _PER_SECOND) * REACH
    leaps = (
        [step for step in clock_steps(reader, when) if step.left_ns < step.at_ns] if order.longest_ns > away_ns else []
    )
    grown = ", ".join(
        _judged(name, kind.by_name[name].semantics) if name in falling else _plain(name) for name in counters
    )
    text = f"SELECT {kept}, {grown} FROM ({text}) AS judged"
    if leaps:
        text = dialect.apart(text) if falling else text
        parts = ", ".join(_without_leaps(name, leaps) for name in counters)
        text = f"SELECT {kept}, {parts} FROM ({text}) AS measured"
    return Sql(dialect.apart(text) if falling else text, samples.params)


def _without_leaps(name: str, leaps: Iterable[Step]) -> str:
    """The time in which a counter grew, less what the clock was set ahead by meanwhile."""
    leapt = " - ".join(
        f"CASE WHEN timestamp >= {step.at_ns} AND timestamp - measured.{name}__elapsed <= {step.left_ns}"
        f" THEN {step.step_ns + step.suspended_ns} ELSE 0 END"
        for step in leaps
    )
    return f"{name}__grown, measured.{name}__elapsed - {leapt} AS {name}__elapsed"


def _plain(name: str) -> str:
    return (
        f"CASE WHEN {ELAPSED} > 0 THEN judged.{name} - {name}__1 END AS {name}__grown,"
        f" CASE WHEN {ELAPSED} > 0 AND judged.{name} >= {name}__1 THEN {ELAPSED} END AS {name}__elapsed"
    )


def _looks(dialect: Dialect, name: str, entity: Sequence[str], order: str) -> list[str]:
    """The known values and stamps of the reach."""
    partition = ", ".join([*entity, f"{name} IS NULL"])
    return [
        f"{dialect.lag(column, partition, order, back)} AS {name}__{prefix}{back}"
        for back in range(1, REACH + 1)
        for column, prefix in ((name, ""), ("timestamp", "at"))
    ]


def _peak(dialect: Dialect, name: str) -> str:
    others = (f"COALESCE({name}__{back}, {name}__1)" for back in range(2, REACH + 1))
    return dialect.greatest([f"{name}__1", *others])


def _places(name: str) -> str:
    """When the peak was, the last time, and the value before it."""
    at = " ".join(f"WHEN {name}__{back} = {name}__peak THEN {name}__at{back}" for back in range(1, REACH + 1))
    prior = " ".join(f"WHEN {name}__{back} = {name}__peak THEN {name}__{back + 1}" for back in range(1, REACH))
    return f"CASE {at} END AS {name}__peak_at, CASE {prior} END AS {name}__prior"


def _judged(name: str, counter: object) -> str:
    """The rule, case by case as in :func:`kernelsight.events.deltas.growth`."""
    assert isinstance(counter, Counter)
    value, last, before, peak = f"judged.{name}", f"{name}__1", f"{name}__2", f"{name}__peak"
    prior, step = f"{name}__prior", f"(judged.{name} - {name}__1)"
    goes_on = f"({before} < {peak} AND {last} > {before} AND {step} <= {LIVELIER} * ({last} - {before}))"
    pace = f"COALESCE({peak} - {prior}, 0)"
    short = f"({step} * {SHORT_STEP} <= {peak} - {last} OR {step} <= {LIVELIER} * {pace})"
    beyond = f"({value} - {peak})"
    comes_back = f"({last} * 2 >= {peak} OR {beyond} * {BEYOND} <= {peak} - {last} OR {beyond} <= {ON_COURSE} * {pace})"
    cases = [
        (f"{value} IS NULL OR {last} IS NULL", "NULL", "NULL"),
        # at or above the highest of the reach
        (f"{value} >= {peak} AND {peak} - {last} <= {counter.jitter}", f"{value} - {peak}", f"{name}__at1"),
        (f"{value} >= {peak} AND {goes_on}", step, f"{name}__at1"),
        (f"{value} >= {peak} AND {comes_back}", f"{value} - {peak}", f"{name}__peak_at"),
        (f"{value} >= {peak}", "NULL", "NULL"),
        # below it
        (f"{peak} - {value} <= {counter.jitter}", "0", f"{name}__at1"),
        (f"{value} > {last} AND ({short} OR {goes_on})", step, f"{name}__at1"),
    ]
    if counter.bits == 32:
        grown = f"({value} + {WRAP} - {last})"
        at_pace = f"({before} IS NULL OR {grown} <= {LIVELIER * LEAST_PACE} OR {grown} <= {LIVELIER} * {pace})"
        wraps = f"{value} > 0 AND {last} = {peak} AND {value} < {last} AND {last} < {WRAP}"
        cases.append((f"{wraps} AND {grown} * {LAST_OF_WRAP} < {WRAP} AND {at_pace}", grown, f"{name}__at1"))
    grown = " ".join(f"WHEN {test} THEN {amount}" for test, amount, _ in cases)
    since = " ".join(f"WHEN {test} THEN {at}" for test, _, at in cases)
    forward = f"timestamp > {name}__at1 AND timestamp > (CASE {since} END)"
    return (
        f"CASE WHEN {forward} THEN CASE {grown} END END AS {name}__grown,"
        f" CASE WHEN {forward} THEN timestamp - (CASE {since} END) END AS {name}__elapsed"
    )
