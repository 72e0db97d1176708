"""From a store to the values that rules measure: of the rows of a range, those of one entity in the order of time.

Of kinds that are sampled, each row is one value of its entity; counters become rates by the sample before. Where a
rule takes several entities together, as all processes of one name, it is about the sum of their rates. What has no
counters is summed up (or the greatest taken) by the store, the rows of each second.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kernelsight.events.declare import Kind
from kernelsight.query.dialect import Sql, dialect_of, run
from kernelsight.query.filters import Condition, where_sql
from kernelsight.signals.episodes import Key, Row
from kernelsight.signals.model import COUNT, LOOKBACK_S, SECOND_NS, Measure, Rule
from kernelsight.stores.base import Reader, Value

Test = Callable[[Row], bool]
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


Groups = dict[tuple[str, int, Key], "_Group"]
"""Rule, second and what is alike → what is taken together."""


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
            if not _by_store(rule):
                sampled.setdefault(rule.kind.name, []).append(rule)
        self._sampled = [_Rows(found) for found in sampled.values()]
        self._summed = [rule for rule in rules.values() if _by_store(rule)]

    def read(self, reader: Reader, start_ns: int, end_ns: int) -> Iterator[Sample]:
        """The values of whole seconds, from the first stamp on to before the last one."""
        for rows in self._sampled:
            yield from rows.read(reader, start_ns, end_ns)
        for rule in self._summed:
            yield from _sums(reader, rule, start_ns, end_ns)


def _by_store(rule: Rule) -> bool:
    return not rule.counters and (rule.grouped or rule.kind.interval_s is None)


@dataclass(frozen=True, slots=True)
class _Reading:
    rule: Rule
    tests: tuple[Test, ...]
    value: Callable[[Row], float | None]


@dataclass(slots=True)
class _Group:
    """What several entities have together in one second."""

    at_ns: int
    sums: Row
    most: float
    row: Row
    """Of the entity that has most."""


class _Rows:
    """The rows of one sampled kind, for all rules about it; remembers the last sample of each entity."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._kind: Kind = rules[0].kind
        self._readings = [_Reading(one, tuple(map(_test, one.where)), _calculation(one.measure)) for one in rules]
        self._counters = tuple(dict.fromkeys(name for one in rules for name in one.counters))
        needed = (name for one in rules for name in (*one.measure.columns, *one.by, *one.labels, *_tested(one)))
        self._columns = list(dict.fromkeys(("timestamp", *self._kind.entity, *needed)))
        self._last: dict[Key, tuple[int, tuple[Value, ...]]] = {}

    def read(self, reader: Reader, start_ns: int, end_ns: int) -> Iterator[Sample]:
        relation, params = reader.relation(self._kind.table, start_ns, end_ns - 1, self._columns)
        text = f"SELECT {', '.join(self._columns)} FROM {relation} AS samples ORDER BY timestamp"  # noqa: S608 - declared names
        entity = self._kind.entity
        groups: Groups = {}
        for row in run(reader, Sql(text, params)):
            key = tuple([row[name] for name in entity])
            at_ns = _integer(row["timestamp"])
            values = self._with_rates(key, at_ns, row) if self._counters else row
            for reading in self._readings:
                if not all(test(row) for test in reading.tests):
                    continue
                if reading.rule.grouped:
                    _join(groups, reading, row, values)
                elif (value := reading.value(values)) is not None:
                    yield Sample(reading.rule, key, at_ns, value, row)
        oldest = end_ns - LOOKBACK_S * SECOND_NS
        self._last = {key: last for key, last in self._last.items() if last[0] >= oldest}
        for reading in self._readings:
            yield from _joined(groups, reading)

    def _with_rates(self, key: Key, at_ns: int, row: Row) -> Row:
        """The row, with rates a second in place of counters; None where there is none."""
        found = tuple([row[name] for name in self._counters])
        last = self._last.get(key)
        self._last[key] = at_ns, found
        elapsed_ns = at_ns - last[0] if last else 0
        if last is None or not 0 < elapsed_ns <= LOOKBACK_S * SECOND_NS:
            return row | dict.fromkeys(self._counters)
        rates = (
            (now - before) * SECOND_NS / elapsed_ns
            if isinstance(now, int) and isinstance(before, int) and now >= before
            else None
            for now, before in zip(found, last[1], strict=True)
        )
        return row | dict(zip(self._counters, rates, strict=True))


def _join(groups: Groups, reading: _Reading, row: Row, values: Row) -> None:
    """Add an entity to the group that it belongs to."""
    rule, value = reading.rule, reading.value(values)
    if value is None:
        return
    key = tuple([row[name] for name in rule.by])
    at_ns = _integer(row["timestamp"])
    group = groups.get((rule.name, at_ns // SECOND_NS, key))
    if group is None:
        measured = {name: values[name] for name in rule.measure.columns}
        groups[rule.name, at_ns // SECOND_NS, key] = _Group(at_ns, measured, value, row)
        return
    for name in rule.measure.columns:
        known = [one for one in (group.sums[name], values[name]) if isinstance(one, (int, float))]
        group.sums[name] = sum(known) if known else None
    if value > group.most:
        group.most, group.row = value, row


def _joined(groups: Groups, reading: _Reading) -> Iterator[Sample]:
    """The values of a rule's groups, the seconds in order: they come so, as the rows do."""
    for (name, _, key), group in groups.items():
        if name == reading.rule.name and (value := reading.value(group.sums)) is not None:
            yield Sample(reading.rule, key, group.at_ns, value, group.row)


def _sums(reader: Reader, rule: Rule, start_ns: int, end_ns: int) -> Iterator[Sample]:
    """One value an entity and second in which it has rows, the seconds in order."""
    columns = list(dict.fromkeys(("timestamp", *rule.by, *rule.labels, *rule.measure.columns, *_tested(rule))))
    relation, params = reader.relation(rule.kind.table, start_ns, end_ns - 1, columns)
    test = where_sql(rule.kind, rule.where)
    second = dialect_of(reader).int_div("timestamp", str(SECOND_NS))
    chosen = [*rule.by, f"{second} AS second", "min(timestamp) AS at_ns", f'count(*) AS "{COUNT}"']
    # of several threads' names in one second any will do, but always the same one
    chosen += [f"min(samples.{name}) AS {name}" for name in rule.labels]
    chosen += [f"{rule.measure.function}(samples.{name}) AS {name}__value" for name in rule.measure.columns]
    text = f"SELECT {', '.join(chosen)} FROM {relation} AS samples WHERE {test.text}"  # noqa: S608 - declared names
    text += f" GROUP BY {', '.join((*rule.by, 'second'))} ORDER BY second"
    calculation = _calculation(rule.measure)
    for row in run(reader, Sql(text, (*params, *test.params))):
        row |= {name: row.pop(f"{name}__value") for name in rule.measure.columns}
        value = calculation(row)
        if value is not None:
            yield Sample(rule, tuple([row[name] for name in rule.by]), _integer(row["at_ns"]), value, row)


def _tested(rule: Rule) -> tuple[str, ...]:
    return tuple(one.column for one in rule.where)


def _test(condition: Condition) -> Test:
    """A condition on a row at hand, with SQL's meaning: NULL meets none."""
    name, wanted = condition.column, condition.value
    if isinstance(wanted, (list, tuple)):
        return lambda row: row[name] in wanted
    compare = _OPERATORS[condition.operator]
    return lambda row: row[name] is not None and compare(row[name], wanted)


def _calculation(measure: Measure) -> Callable[[Row], float | None]:
    above, below = _sum(measure.of), _sum(measure.per)
    scale, least = measure.scale, measure.least_per

    def quotient(row: Row) -> float | None:
        dividend, divisor = above(row), below(row)
        if dividend is None or divisor is None or divisor <= 0 or divisor < least:
            return None
        return dividend / divisor * scale

    def scaled(row: Row) -> float | None:
        value = above(row)
        return None if value is None else value * scale

    return quotient if measure.per else scaled


def _sum(terms: tuple[str, ...]) -> Callable[[Row], float | None]:
    signed = [(-1.0 if term.startswith("-") else 1.0, term.startswith("?"), term.lstrip("-?")) for term in terms]

    def total(row: Row) -> float | None:
        result, known = 0.0, False
        for sign, optional, name in signed:
            value = row[name]
            if isinstance(value, (int, float)):
                result += sign * value
                known = True
            elif not optional:
                return None
        return result if known else None

    return total


def _integer(value: Value) -> int:
    assert isinstance(value, int)
    return value
