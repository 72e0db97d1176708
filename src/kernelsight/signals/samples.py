"""From a store to the values that rules measure: of the rows of a range, those of one entity in the order of time.

Of kinds that are sampled, each row is one value of its entity; counters become rates by the sample before. Where a
rule takes several entities together, as all processes of one name, it is about the sum of their rates. What has no
counters is summed up (or the greatest taken) by the store, the rows of each second.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kernelsight.events.declare import Counter, Kind
from kernelsight.query.filters import Condition, where_sql
from kernelsight.signals.episodes import Key, Row
from kernelsight.signals.model import LOOKBACK_S, SECOND_NS, Measure, Rule, Term
from kernelsight.signals.rates import Rates
from kernelsight.stores.base import Reader, Value
from kernelsight.stores.base import Row as RawRow

Columns = Mapping[str, int]
"""Column → its place in a row."""
Test = Callable[[RawRow], bool]
Calculation = Callable[[Sequence[Value]], float | None]
Tracked = Container[tuple[str, Key]]
"""Rules and entities of which low values are of interest, too."""
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ROUNDING = 1 - 1e-9
"""The store's arithmetic and ours may differ in the last digit."""


class Sample(NamedTuple):
    """One value of one rule and entity, with the row that it comes from."""

    rule: Rule
    key: Key
    at_ns: int
    value: float
    row: Row


class Samples:
    """Reads ranges that follow each other."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        sampled: dict[str, list[Rule]] = {}
        for rule in rules.values():
            if not rule.by_store:
                sampled.setdefault(rule.kind.name, []).append(rule)
        self._sampled = [_Rows(of_kind) for of_kind in sampled.values()]
        self._summed = [_Sums(rule) for rule in rules.values() if rule.by_store]

    def read(self, reader: Reader, start_ns: int, end_ns: int, tracked: Tracked) -> Iterator[Sample]:
        """The values of whole seconds, from the first stamp on to before the last one.

        Those that are so low that no episode goes on with them are left out, but for what is tracked.
        """
        for rows in self._sampled:
            yield from rows.read(reader, start_ns, end_ns, tracked)
        for sums in self._summed:
            yield from sums.read(reader, start_ns, end_ns)


class _Reading:
    """How one rule reads a row."""

    def __init__(self, rule: Rule, columns: Columns) -> None:
        self.rule, self.name, self.least = rule, rule.name, rule.clear_below
        self.tests = [_test(condition, columns) for condition in rule.where]
        self.value = _calculation(rule.measure, columns)
        self.by = [columns[name] for name in rule.by]
        self.alike: Callable[[RawRow], Any] = operator.itemgetter(*self.by) if self.by else lambda _: None
        self.grouped = rule.grouped
        self.groups: dict[tuple[Any, int], _Group] = {}
        """Of the range that is being read: what is alike and second → what is taken together."""


@dataclass(slots=True)
class _Group:
    """What several entities have together in one second."""

    at_ns: int
    total: float
    most: float
    row: RawRow
    """Of the entity that has most."""


class _Rows:
    """The rows of one sampled kind, for all rules about it; in the order in which they were taken."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._kind: Kind = rules[0].kind
        needed = (name for rule in rules for name in (*rule.measure.columns, *rule.by, *rule.labels, *_tested(rule)))
        self._columns = list(dict.fromkeys(("timestamp", *self._kind.entity, *needed)))
        places = {name: place for place, name in enumerate(self._columns)}
        self._key = slice(1, 1 + len(self._kind.entity))
        self._readings = [_Reading(rule, places) for rule in rules]
        counters = dict.fromkeys(name for rule in rules for name in rule.counters)
        self._rates = Rates(self._key, {places[name]: _counter(self._kind, name) for name in counters})

    def read(self, reader: Reader, start_ns: int, end_ns: int, tracked: Tracked) -> Iterator[Sample]:
        for row, values in self._measured(reader, start_ns, end_ns):
            key = row[self._key]
            for reading in self._readings:
                if reading.tests and not all(test(row) for test in reading.tests):
                    continue
                value = reading.value(values)
                if value is None:
                    continue
                if reading.grouped:
                    _join(reading, row, value)
                elif value >= reading.least or (reading.name, key) in tracked:
                    yield self._sample(reading.rule, key, row, value)
        self._rates.forget_before(end_ns - LOOKBACK_S * SECOND_NS)
        for reading in self._readings:
            yield from self._joined(reading, tracked)

    def _measured(self, reader: Reader, start_ns: int, end_ns: int) -> Iterator[tuple[RawRow, Sequence[Value]]]:
        """The rows by time, each with the values that rules measure."""
        columns = [*self._columns, "id"]
        relation, params = reader.relation(self._kind.table, start_ns, end_ns - 1, columns)
        text = f"SELECT {', '.join(columns)} FROM {relation} AS samples ORDER BY timestamp, id"  # noqa: S608 - declared
        rows = list(reader.tuples(text, params))
        taken = self._rates.in_order(rows, len(columns) - 1)
        measured = ((row[:-1], self._rates.take(row[:-1])) for row in taken)
        return measured if taken is rows else iter(_once_a_second(sorted(measured, key=_stamp), self._key))

    def _joined(self, reading: _Reading, tracked: Tracked) -> Iterator[Sample]:
        """The values of a rule's groups, the seconds in order: they come so, as the rows do."""
        for group in reading.groups.values():
            key = tuple([group.row[place] for place in reading.by])
            if group.total >= reading.least or (reading.name, key) in tracked:
                yield self._sample(reading.rule, key, group.row, group.total)._replace(at_ns=group.at_ns)
        reading.groups = {}

    def _sample(self, rule: Rule, key: Key, row: RawRow, value: float) -> Sample:
        return Sample(rule, key, _integer(row[0]), value, dict(zip(self._columns, row, strict=True)))


def _once_a_second(
    measured: Iterable[tuple[RawRow, Sequence[Value]]], key: slice
) -> Iterator[tuple[RawRow, Sequence[Value]]]:
    """Of an entity's samples in one second that came twice, as the clock was set back, the first."""
    seen: set[tuple[Key, int]] = set()
    for row, values in measured:
        place = row[key], _integer(row[0]) // SECOND_NS
        if place not in seen:
            seen.add(place)
            yield row, values


def _stamp(measured: tuple[RawRow, Sequence[Value]]) -> int:
    return _integer(measured[0][0])


def _counter(kind: Kind, name: str) -> Counter:
    semantics = kind.by_name[name].semantics
    assert isinstance(semantics, Counter)
    return semantics


def _join(reading: _Reading, row: RawRow, value: float) -> None:
    """Add an entity's value to the group that it belongs to."""
    at_ns: int = row[0]  # type: ignore[assignment]
    place = reading.alike(row), at_ns // SECOND_NS
    group = reading.groups.get(place)
    if group is None:
        reading.groups[place] = _Group(at_ns, value, value, row)
        return
    group.total += value
    if value > group.most:
        group.most, group.row = value, row


class _Sums:
    """The rows of one kind, summed up by the store for one rule."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._columns = list(
            dict.fromkeys(("timestamp", *rule.by, *rule.labels, *rule.measure.columns, *_tested(rule)))
        )
        self._names = [*rule.by, *rule.labels]

    def read(self, reader: Reader, start_ns: int, end_ns: int) -> Iterator[Sample]:
        """One value an entity and second in which it is not low, the seconds in order."""
        rule = self._rule
        relation, params = reader.relation(rule.kind.table, start_ns, end_ns - 1, self._columns)
        test = where_sql(reader.dialect, rule.kind, rule.where)
        second = reader.dialect.int_div("samples.timestamp", str(SECOND_NS))
        # Of several threads' names in one second any will do, but always the same one.
        labels = [f"min(samples.{name})" for name in rule.labels]
        value = _value_sql(rule.measure)
        chosen = ", ".join([*(f"samples.{name}" for name in rule.by), *labels, "min(samples.timestamp)", value, second])
        group = ", ".join([*(f"samples.{name}" for name in rule.by), second])
        text = (
            f"SELECT {chosen} FROM {relation} AS samples WHERE {test.text}"  # noqa: S608 - declared names
            f" GROUP BY {group} HAVING {value} >= {rule.clear_below * _ROUNDING!r} ORDER BY {second}"
        )
        width = len(rule.by)
        for row in reader.tuples(text, (*params, *test.params)):
            *named, at_ns, measured, _ = row
            assert isinstance(measured, (int, float))
            yield Sample(
                rule, row[:width], _integer(at_ns), float(measured), dict(zip(self._names, named, strict=True))
            )


def _value_sql(measure: Measure[Any]) -> str:
    """The calculation over the rows of one second; NULL where there is no value."""

    def total(terms: tuple[Term[Any], ...]) -> str:
        return " + ".join(("-1.0 * " if term.sign < 0 else "") + first(term.choices) for term in terms)

    def first(choices: tuple[tuple[str, ...], ...]) -> str:
        products = [one(factors) for factors in choices]
        return products[0] if len(products) == 1 else f"coalesce({', '.join(products)})"

    def one(factors: tuple[str, ...]) -> str:
        product = " * ".join(f"samples.{column}" for column in factors)
        return f"{measure.function}({product})" if factors else "count(*)"

    above = f"({total(measure.above)}) * {float(measure.scale)!r}"
    if not measure.per:
        return above
    below = total(measure.below)
    return f"(CASE WHEN ({below}) > 0 AND ({below}) >= {float(measure.least_per)!r} THEN {above} / ({below}) END)"


def _tested(rule: Rule) -> tuple[str, ...]:
    return tuple(condition.column for condition in rule.where)


def _test(condition: Condition, columns: Columns) -> Test:
    """A condition on a row at hand, with SQL's meaning: NULL meets none."""
    place, wanted = columns[condition.column], condition.value
    if isinstance(wanted, (list, tuple)):
        if condition.operator == "!=":
            return lambda row: row[place] is not None and row[place] not in wanted
        return lambda row: row[place] in wanted
    compare = _OPERATORS[condition.operator]
    return lambda row: row[place] is not None and compare(row[place], wanted)


def _calculation(measure: Measure[Any], columns: Columns) -> Calculation:
    above, below = _sum(measure.above, columns), _sum(measure.below, columns)
    scale, least = measure.scale, measure.least_per

    def quotient(row: Sequence[Value]) -> float | None:
        divisor = below(row)
        if divisor is None or divisor <= 0 or divisor < least:
            return None
        dividend = above(row)
        return None if dividend is None else dividend / divisor * scale

    def scaled(row: Sequence[Value]) -> float | None:
        value = above(row)
        return None if value is None else value * scale

    return quotient if measure.per else scaled


def _sum(terms: tuple[Term[Any], ...], columns: Columns) -> Calculation:
    plain = [term for term in terms if len(term.factors) == 1 and term.stand_in is None]
    signed = [(term.sign, term.optional, columns[term.factors[0]]) for term in plain]
    others = [
        (term, [[columns[name] for name in factors] for factors in term.choices]) for term in terms if term not in plain
    ]

    def total(row: Sequence[Value]) -> float | None:
        result, known = 0.0, False
        for sign, optional, place in signed:
            value = row[place]
            if value is not None:
                result += sign * value  # type: ignore[operator] # columns that are measured are numbers
                known = True
            elif not optional:
                return None
        return result if known else None

    def with_products(row: Sequence[Value]) -> float | None:
        result = total(row)
        for term, choices in others:
            value = next((math.prod(values) for values in _known(row, choices)), None)
            if value is not None and result is not None:
                result += term.sign * value
            elif not term.optional:
                return None
        return result

    return with_products if others else total


def _known(row: Sequence[Value], choices: Iterable[Sequence[int]]) -> Iterator[list[float]]:
    """The values of those products of columns of which all have one."""
    for places in choices:
        values = [row[place] for place in places]
        if None not in values:
            yield values  # type: ignore[misc] # columns that are measured are numbers


def _integer(value: Value) -> int:
    assert isinstance(value, int)
    return value
