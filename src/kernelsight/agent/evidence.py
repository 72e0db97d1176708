"""Numbers out of the store with the rows that they come from, and the short names by which they are cited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kernelsight.diagnosis.measure import measured, needed
from kernelsight.diagnosis.model import Evidence, How
from kernelsight.errors import UsageError
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Metric, name_of
from kernelsight.query.filters import Condition, Where, conditions
from kernelsight.query.points import is_counter, metric_named
from kernelsight.query.rows import rows_of
from kernelsight.query.source import Source, kind_named, opened
from kernelsight.query.stored import moment, row_id
from kernelsight.query.times import TimeRange


class TooManyRowsError(UsageError):
    """More rows than one number may cite."""


MOST_ROWS = 2_000
"""Rows that one number may cite: half an hour of one entity, each second."""
_SLOPE_ROWS = 60
"""As many as the estimator of a slope looks at."""

Row = Mapping[str, Any]
E = TypeVar("E", bound=Event)


def proof(  # noqa: PLR0913, PLR0917 - a number has as many parts
    source: Source, table: str, metric: str, how: How, when: TimeRange, where: Where = ()
) -> Evidence | None:
    """A number and the rows that show it, as few as can; None where there is no value.

    Raises:
        UsageError: no such table, metric or condition, or more rows than can be cited.
    """
    kind = kind_named(table)
    column = metric_named(kind, metric)
    if how == "increase" and not is_counter(column):
        raise UsageError(f"{kind.table}.{metric} is no counter; ask for its sum, mean, max, min, last or slope")
    test = [*conditions(where), Condition(metric, "!=", None)]
    with opened(source) as reader:
        if how in _ONE_ROW:
            order, descending = _ONE_ROW[how](metric)
            rows = rows_of(reader, kind, when, where=test, order_by=order, descending=descending, limit=1)
        else:
            rows = rows_of(reader, kind, when, where=test, limit=MOST_ROWS + 1)
    if not rows:
        return None
    if len(rows) > MOST_ROWS:
        raise TooManyRowsError(f"more than {MOST_ROWS} rows of {kind.table}; narrow the time or the conditions")
    if how in _OF_ONE_SERIES and len({tuple(row[name] for name in kind.entity) for row in rows}) > 1:
        one = " and ".join(kind.entity)
        raise UsageError(f"{how} of several series of {kind.table} together means nothing; pick one by {one}")
    return evidence_of(kind.table, metric, how, _thinned(kind.table, rows, metric, how))


def shown_by(rows: Sequence[E], metric: Metric[E], how: How) -> Evidence:
    """The number that some rows of one kind, ordered by time, give; there is at least one."""
    kind = kind_of(type(rows[0]))
    name = name_of(metric)
    return Evidence(
        table=kind.table,
        start_ns=moment(rows[0]),
        end_ns=moment(rows[-1]),
        metric=name,
        how=how,
        value=measured(how, kind, name, rows),
        row_ids=tuple(map(row_id, rows)),
    )


def evidence_of(table: str, metric: str, how: How, rows: Sequence[Row]) -> Evidence:
    """As :func:`shown_by`, of rows as dicts and of a table and a metric that somebody named."""
    return Evidence(
        table=table,
        start_ns=rows[0]["timestamp"],
        end_ns=rows[-1]["timestamp"],
        metric=metric,
        how=how,
        value=measured(how, kind_named(table), metric, rows),
        row_ids=tuple(row["id"] for row in rows),
    )


_ONE_ROW: Mapping[How, Callable[[str], tuple[str, bool]]] = {
    "max": lambda metric: (metric, True),
    "min": lambda metric: (metric, False),
    "last": lambda _: ("timestamp", True),
}
"""What a single row shows, and in which order it is the first."""


_OF_ONE_SERIES: frozenset[How] = frozenset({"increase", "slope"})
"""What looks from one row to the next."""


def _thinned(table: str, rows: Sequence[Row], metric: str, how: How) -> Sequence[Row]:
    """The rows without those that do not change the number."""
    if how == "slope":
        return rows[:: -(-len(rows) // _SLOPE_ROWS)]
    if how == "increase":
        return needed(kind_named(table), rows, metric)
    return rows


class Citations:
    """The evidence that was handed out in a conversation, by the short names under which it can be cited."""

    def __init__(self) -> None:
        self._by_name: dict[str, Evidence] = {}
        self._names: dict[Evidence, str] = {}

    def enter(self, evidence: Evidence) -> str:
        """Note it; its name."""
        name = self._names.setdefault(evidence, f"e{len(self._names) + 1}")
        self._by_name[name] = evidence
        return name

    def find(self, name: str) -> Evidence | None:
        """What is cited by a name; None where nothing was handed out under it."""
        return self._by_name.get(name)
