"""Conditions on columns: from Python values or from text, to SQL with parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX, INT64_MIN, Column, Event, Kind
from kernelsight.events.fields import Field, field_named, name_of
from kernelsight.events.unsigned import fits_64_bits, wrap_u64
from kernelsight.query.dialect import Sql
from kernelsight.query.source import column_named
from kernelsight.query.times import parse_duration
from kernelsight.stores.base import Value
from kernelsight.stores.dialect import Dialect

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "like"]
Wanted = Value | Sequence[Value]
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)

_TEXT = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>|\blike\b)\s*(.*?)\s*", re.IGNORECASE | re.DOTALL)
_TRUTH = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison, such as ``Condition("latency_ns", ">=", 10_000_000)``.

    ``=`` with None asks for NULL, with a list for any of its members (``!=`` for none of them, and not NULL);
    ``like`` takes SQL's ``%`` and ``_``.
    """

    column: str
    operator: Operator
    value: Wanted

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``latency_ns>=10ms``, ``comm=postgres``, ``comm like kworker%``; the column's type decides on the value.

        Raises:
            UsageError: it is not a comparison.
        """
        match = _TEXT.fullmatch(text)
        operators = {str(name): name for name in get_args(Operator)}
        if match is None:
            raise UsageError(f"{text!r} is not a condition; write for example latency_ns>=10ms or comm=postgres")
        return cls(match[1], operators[match[2].lower()], match[3])


class Filter(Condition, Generic[E_contra]):
    """A condition on a column that is named by its declaration: ``Filter(Process.nice, "<=", 0)``."""

    __slots__ = ()

    def __init__(self, column: Field[E_contra, Any], operator: Operator, value: Wanted) -> None:
        super().__init__(name_of(column), operator, value)


Where = Mapping[str, Wanted] | Iterable[Condition | str]


def conditions(where: Where) -> list[Condition]:
    """All forms of ``where``: a mapping of columns to values, conditions, or text."""
    if isinstance(where, Mapping):
        return [Condition(column, "=", value) for column, value in where.items()]
    if isinstance(where, str):
        where = (where,)
    return [Condition.parse(entry) if isinstance(entry, str) else entry for entry in where]


def filters(kind: Kind, where: Where) -> list[Filter[Any]]:
    """Conditions in any form, on columns that a kind has.

    Raises:
        UsageError: it has no such column.
    """
    return [
        Filter(field_named(kind, column_named(kind, test.column).name), test.operator, test.value)
        for test in conditions(where)
    ]


def where_sql(dialect: Dialect, kind: Kind, wanted: Iterable[Condition]) -> Sql:
    """Conditions joined by AND, ``1 = 1`` where there are none.

    Raises:
        UsageError: no such column, or a value that the column cannot have.
    """
    parts = [_comparison(dialect, column_named(kind, condition.column), condition) for condition in wanted]
    text = " AND ".join(part.text for part in parts) or "1 = 1"
    return Sql(text, tuple(value for part in parts for value in part.params))


def _comparison(dialect: Dialect, column: Column, condition: Condition) -> Sql:
    if condition.operator not in get_args(Operator):
        raise UsageError(
            f"{column.name}: no operator {condition.operator!r}; there are {', '.join(get_args(Operator))}"
        )
    if isinstance(condition.value, Sequence) and not isinstance(condition.value, (str, bytes)):
        if condition.operator not in {"=", "!="} or not condition.value:
            raise UsageError(f"{column.name}: a list of values goes with = or != and is not empty")
        values = tuple(_stored(column, value) for value in condition.value)
        return Sql(
            f"{column.name} {'NOT ' if condition.operator == '!=' else ''}IN ({', '.join('?' * len(values))})", values
        )
    if condition.value is None:
        if condition.operator not in {"=", "!="}:
            raise UsageError(f"{column.name}: NULL can only be equal or unequal")
        return Sql(f"{column.name} IS {'NOT ' if condition.operator == '!=' else ''}NULL")
    if condition.operator == "like":
        return Sql(dialect.like(column.name), (str(condition.value),))
    value = _stored(column, condition.value)
    return Sql(f"({column.name} {condition.operator} ?{_beyond_63_bits(column, condition.operator, value)})", (value,))


def _beyond_63_bits(column: Column, operator: Operator, value: Value) -> str:
    """What else an order of unsigned numbers asks for: the greatest are stored as negative ones."""
    if not column.unsigned64 or operator not in {"<", "<=", ">", ">="} or not isinstance(value, int):
        return ""
    other_half = f"{column.name} {'<' if operator[0] == '>' else '>='} 0"
    return f" AND {other_half}" if (value < 0) == (operator[0] == ">") else f" OR {other_half}"


def _stored(column: Column, value: Value) -> Value:
    """A value as the store holds it: of the column's type, unsigned 64-bit integers wrapped."""
    if isinstance(value, str) and column.type != "TEXT":
        value = _number(column, value)
    if isinstance(value, int) and column.unsigned64 and fits_64_bits(value):
        value = wrap_u64(value)
    if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
        raise UsageError(f"{column.name}: a number of {value.bit_length()} bits does not fit 64 bits")
    return value


def _number(column: Column, text: str) -> int | float:
    try:
        if column.type == "BOOLEAN":
            return _TRUTH[text.lower()]
        if column.type == "INTEGER":
            return parse_duration(text) if column.unit == "ns" and text[-1:].isalpha() else int(text, 0)
        return float(text)
    except UsageError as error:
        raise UsageError(f"{column.name}: {error}") from error
    except (KeyError, ValueError) as error:
        raise UsageError(f"{column.name} is {column.type.lower()}; {text!r} is not") from error
