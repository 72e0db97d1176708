"""Numbers out of the store with the rows that they come from, and the short names by which they are cited."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from kernelsight.diagnosis.measure import measured, needed
from kernelsight.diagnosis.model import Evidence, How
from kernelsight.errors import UsageError
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Metric, entity_of, field_named, name_of, row_getter
from kernelsight.query.filters import Filter, Where, filters
from kernelsight.query.points import is_counter, metric_named
from kernelsight.query.source import Source, kind_named, opened
from kernelsight.query.stored import moment, row_id, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader


class TooManyRowsError(UsageError):
    """More rows than one number may cite."""


MOST_ROWS = 2_000
"""Rows that one number may cite: half an hour of one entity, each second."""
_SLOPE_ROWS = 60
"""As many as the estimator of a slope looks at."""

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
    field = field_named(kind, metric)
    with opened(source) as reader:
        return proof_of(reader, field, how, when, filters(kind, where))


def proof_of(
    reader: Reader, metric: Metric[E], how: How, when: TimeRange, where: Iterable[Filter[E]] = ()
) -> Evidence | None:
    """As :func:`proof`, of a column that is named by its declaration."""
    struct: type[E] = metric.__objclass__
    kind = kind_of(struct)
    entity = entity_of(kind)
    test = [*where, Filter(metric, "!=", None)]
    columns = [metric, *entity]
    if how in _ONE_ROW:
        order, descending = _ONE_ROW[how](metric)
        rows = stored_rows(
            reader, struct, when, where=test, columns=columns, order_by=order, descending=descending, limit=1
        )
    else:
        rows = stored_rows(reader, struct, when, where=test, columns=columns, limit=MOST_ROWS + 1)
    if not rows:
        return None
    if len(rows) > MOST_ROWS:
        raise TooManyRowsError(f"more than {MOST_ROWS} rows of {kind.table}; narrow the time or the conditions")
    if how in _OF_ONE_SERIES and len(set(map(row_getter(*entity), rows))) > 1:
        choices = " and ".join(kind.entity)
        raise UsageError(f"{how} of several series of {kind.table} together means nothing; pick one by {choices}")
    return shown_by(_thinned(rows, metric, how), metric, how)


def shown_by(rows: Sequence[E], metric: Metric[E], how: How) -> Evidence:
    """The number that some rows of one kind, ordered by time, give; there is at least one."""
    kind = kind_of(type(rows[0]))
    return Evidence(
        table=kind.table,
        start_ns=moment(rows[0]),
        end_ns=moment(rows[-1]),
        metric=name_of(metric),
        how=how,
        value=measured(how, metric, rows),
        row_ids=tuple(map(row_id, rows)),
    )


_ONE_ROW: Mapping[How, Callable[[Metric[Any]], tuple[Metric[Any], bool]]] = {
    "max": lambda metric: (metric, True),
    "min": lambda metric: (metric, False),
    "last": lambda _: (Event.timestamp, True),
}
"""What a single row shows, and in which order it is the first."""


_OF_ONE_SERIES: frozenset[How] = frozenset({"increase", "slope"})
"""What looks from one row to the next."""


def _thinned(rows: Sequence[E], metric: Metric[E], how: How) -> Sequence[E]:
    """The rows without those that do not change the number."""
    if how == "slope":
        return rows[:: -(-len(rows) // _SLOPE_ROWS)]
    if how == "increase":
        return needed(metric, rows)
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
