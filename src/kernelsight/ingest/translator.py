"""A translator for one shape of foreign lines: a generated struct that takes just these lines, and a plan of the row.

Collectors print few shapes, again and again: the same keys, nested alike, with values of the same types. What
:mod:`kernelsight.ingest.foreign` finds out about such a line is then the same for the next one, apart from the
values. A translator is made from one line and its meaning. It gives the row that the reference would give, or
nothing; then the reference decides. So whatever depends on a value in a way that is not compiled here (a number
beyond its usual range, a text that may be a number, a stamp that needs a second look) costs time and no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import (
    EARLIEST_EPOCH_NS,
    INT64_MAX,
    INT64_MIN,
    LONGEST_TEXT,
    Column,
    Counter,
    Event,
    Gauge,
    Kind,
    Label,
    kind_of,
)
from kernelsight.events.unsigned import wrap_u64
from kernelsight.ingest import at_once
from kernelsight.ingest.foreign import NOT_FIELDS, flattened, measurement_named
from kernelsight.ingest.leaves import Leaf, Leaves, NoTranslatorError
from kernelsight.ingest.numbers import LONGEST_NUMBER
from kernelsight.ingest.parts import is_told_apart, may_say_part, part_column
from kernelsight.ingest.times import KEYS, Clocks
from kernelsight.ingest.values import Stored, convert, truth
from kernelsight.ingest.vocabulary import TYPE_KEYS, Meaning, vocabulary
from kernelsight.stores.base import Row

_TINY = re.compile(rb"[0-9.][eE]-[0-9]{3}")
"""A number that no float holds, and that the reference may refuse."""
_SURELY_ROUNDED = 2**44
"""Below it, a product of two floats is off by less than a hundredth."""
_LONG = re.compile(rb"[0-9.]{%d}" % LONGEST_NUMBER)

# UnicodeDecodeError is a ValueError, as are all reasons of the reference to refuse a value.
LOOK_AGAIN = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Translator:
    """Translates the lines of one shape."""

    kind: Kind
    ignored: int
    """Fields of such a line that no column stands for."""
    row: Callable[[bytes, Clocks], Row]
    """The row of a line, in the order of the kind's columns; it raises one of :data:`LOOK_AGAIN` where the reference
    has to look at the line."""


def translator(line: Mapping[str, object], kind: Kind) -> Translator:
    """Make the translator of all lines that are like one.

    Args:
        line: as it was decoded.
        kind: what the reference took it for.

    Raises:
        NoTranslatorError: the reference has to look at each such line.
    """
    if kind.struct is CollectorReport:
        raise NoTranslatorError("the books look at reports in the order in which they came")
    leaves = Leaves()
    fields, _ = flattened(measurement_named(leaves.wrap(line)))
    plan = _Plan(kind, fields)
    try:
        decoder = msgspec.json.Decoder(leaves.struct(line))
    except ValueError as error:  # a key that msgspec takes for no name
        raise NoTranslatorError(str(error)) from error
    return Translator(kind, len(plan.others), plan.compiled(decoder.decode))


# --- the plan ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one value says of one column."""

    column: Column
    rank: float
    expression: str
    may_be_nothing: bool = False
    """The expression may give None, which says nothing."""
    is_certain: bool = False
    """No value of its type is refused."""


class _Plan:
    """The source of a function that makes a row of a decoded line, and the objects that it names.

    No text of a line becomes part of the source.
    """

    def __init__(self, kind: Kind, fields: Mapping[str, object]) -> None:
        self._kind = kind
        self._words = vocabulary(kind)
        self._domains = _domains(kind.struct)
        self._names: dict[str, Any] = {}
        self._readings: dict[str, list[_Reading]] = {}
        self._leaves = {name: leaf for name, leaf in fields.items() if isinstance(leaf, Leaf)}
        if any(name not in self._leaves and leaf is not None for name, leaf in fields.items()):
            raise NoTranslatorError("an object for a stamp")
        self.others = [name for name in self._leaves if name not in NOT_FIELDS and name not in self._words]
        word = next((leaf for key in TYPE_KEYS if (leaf := self._leaves.get(key)) and leaf.json == "str"), None)
        if word is not None:
            word.must_be(Literal[str(word.value)])
        self._stamp = self._read_stamp()
        for name, leaf in self._leaves.items():
            if name in self._words:
                self._read(name, leaf)
        self._columns = {name: self._chosen(name, readings) for name, readings in self._readings.items()}
        self._add_part_to_entity()
        self._has_floats = any(
            leaf.takes is float or (leaf.takes is None and leaf.json in {"int", "number"})
            for leaf in self._leaves.values()
        )

    def compiled(self, decode: Callable[[bytes], Any]) -> Callable[[bytes, Clocks], Row]:
        """The function that makes a row of a line."""
        columns = [self._columns.get(name) or self._default(name) for name in self._kind.column_names[1:]]
        self._names |= {"decode": decode, "is_plain": _is_plain, "LookAgainError": at_once.LookAgainError}
        lines = ["line = decode(text)", f"return ({', '.join((self._stamp, *columns))},)"]
        if self._has_floats:
            suspect = f"len(text) > {LONGEST_NUMBER} or b'e-' in text or b'E-' in text"
            lines.insert(0, f"if ({suspect}) and not is_plain(text): raise LookAgainError")
        source = "\n    ".join(("def plan(text, clocks):", *lines))
        # It consists of our own names and of nothing that came with a line.
        exec(compile(source, f"<plan of {self._kind.name}>", "exec"), self._names)  # noqa: S102
        plan: Callable[[bytes, Clocks], Row] = self._names["plan"]
        return plan

    def _named(self, stem: str, value: object) -> str:
        """A name that stands for an object in the source."""
        name = f"{stem}{len(self._names)}"
        self._names[name] = value
        return name

    def _default(self, name: str) -> str:
        """What a column has that no value of the line says anything of."""
        if self._kind.by_name[name].required:
            raise NoTranslatorError("a column that must be there is not")
        fields, defaults = self._kind.struct.__struct_fields__, self._kind.struct.__struct_defaults__
        return self._named("default", defaults[fields.index(name) - len(fields)])

    def _read_stamp(self) -> str:
        for key, unit in KEYS.items():
            leaf = self._leaves.get(key)
            if leaf is None:
                continue
            if leaf.json not in _STAMPS:
                raise NoTranslatorError("a stamp that is neither number nor text")
            taken, read = _STAMPS[leaf.json]
            leaf.must_be(taken)
            stamp = f"{self._named('stamp', read)}({leaf.place}, clocks, {unit})"
            is_usual = f"{EARLIEST_EPOCH_NS} <= {leaf.place} <= clocks.now"
            return f"{leaf.place} if {is_usual} else {stamp}" if taken is int and unit in {None, 1} else stamp
        raise NoTranslatorError("no stamp")

    def _read(self, name: str, leaf: Leaf) -> None:
        """A value under a name that means a column; of several columns the value's type tells which."""
        meanings = [meaning for meaning in self._words[name] if _may_take(meaning, leaf.json)]
        as_name = len(meanings) == 2 and leaf.json == "str" and _is_number_or_name(meanings)
        if as_name and str(leaf.value)[:1] in at_once.LETTERS:
            del meanings[0]
        elif as_name or (len(meanings) > 1 and leaf.json == "str") or not meanings:
            raise NoTranslatorError("its value tells which column it means")
        reading = self._reading(meanings[0], name, leaf)
        if as_name:
            reading = _Reading(
                reading.column, reading.rank, f"{self._named('name', at_once.name)}({reading.expression})"
            )
        self._readings.setdefault(reading.column.name, []).append(reading)

    def _reading(self, meaning: Meaning, name: str, leaf: Leaf) -> _Reading:
        column = meaning.column
        if meaning.flagged is not None:
            yes, no = self._named("yes", meaning.flagged.yes), self._named("no", meaning.flagged.no)
            answer = self._truth(name, leaf)
            said = f"({yes} if {answer} else {no})"
            return _Reading(column, meaning.rank, said, _says_nothing(meaning), is_certain=leaf.json != "str")
        if column.type == "BOOLEAN":
            return _Reading(column, meaning.rank, f"bool({self._truth(name, leaf)})")
        low, high = self._domains[column.name].bounds
        match column.type, leaf.json:
            case "INTEGER", "int":
                expression = self._integer(meaning, leaf, low, high)
            case "INTEGER", "number":
                expression = self._scaled_or_exact(meaning, leaf, low, high)
            case "INTEGER", "str":
                expression = self._integer_text(meaning, leaf, low, high)
            case "REAL", "int" | "number":
                expression = self._real(meaning, leaf)
            case "TEXT", "str":
                expression = self._text(column, leaf)
            case _:
                raise NoTranslatorError("a value of another type")
        return _Reading(column, meaning.rank, expression)

    def _truth(self, name: str, leaf: Leaf) -> str:
        if leaf.json == "bool":
            leaf.must_be(bool)
            return leaf.place
        if leaf.json == "int":
            leaf.must_be(_ZERO_OR_ONE)
            return leaf.place
        if leaf.json == "str":
            leaf.must_be(str)
            return f"{self._named('truth', truth)}({self._named('field', name)}, {leaf.place})"
        raise NoTranslatorError("neither yes nor no")

    def _integer(self, meaning: Meaning, leaf: Leaf, low: int, high: int) -> str:
        if meaning.factor != 1:
            return self._scaled_or_exact(meaning, leaf, low, high)
        if meaning.column.unsigned64:
            leaf.must_be(int)
            return f"{self._named('wrap', wrap_u64)}({leaf.place})"
        leaf.must_be(Annotated[int, msgspec.Meta(ge=low, le=high)])
        return leaf.place

    def _scaled_or_exact(self, meaning: Meaning, leaf: Leaf, low: int, high: int) -> str:
        if meaning.column.unsigned64:
            raise NoTranslatorError("an address with a point")
        if meaning.factor != 1:
            leaf.must_be(float)
            scaled = f"{self._named('scaled', at_once.scaled)}({leaf.place}, {meaning.factor!r}, {low}, {high})"
            product, nearest = self._named("product", None), self._named("nearest", None)
            off = f"({product} := {leaf.place} * {meaning.factor!r}) - ({nearest} := round({product}))"
            usual = f"{max(low, -_SURELY_ROUNDED)} <= {nearest} <= {min(high, _SURELY_ROUNDED)}"
            return f"({nearest} if -0.49 < {off} < 0.49 and {usual} else {scaled})"
        leaf.must_be(msgspec.Raw)
        column = self._named("column", meaning.column)
        exact = f"{self._named('exactly', at_once.exactly)}({column}, {leaf.place}, 1)"
        return f"{self._named('within', at_once.within)}({exact}, {low}, {high})"

    def _integer_text(self, meaning: Meaning, leaf: Leaf, low: int, high: int) -> str:
        leaf.must_be(str)
        if meaning.factor != 1:
            column = self._named("column", meaning.column)
            exact = f"{self._named('convert', convert)}({column}, {leaf.place}, {meaning.factor!r})"
            return f"{self._named('within', at_once.within)}({exact}, {low}, {high})"
        if not meaning.column.unsigned64:
            return f"{self._named('integer', at_once.integer)}({leaf.place}, {low}, {high})"
        return f"{self._named('address', at_once.address)}({leaf.place})"

    def _real(self, meaning: Meaning, leaf: Leaf) -> str:
        if not self._domains[meaning.column.name].any_real:
            raise NoTranslatorError("a number with bounds of its own")
        if meaning.factor == 1:
            leaf.must_be(float)
            return leaf.place
        leaf.must_be(msgspec.Raw)
        column = self._named("column", meaning.column)
        return f"{self._named('exactly', at_once.exactly)}({column}, {leaf.place}, {meaning.factor!r})"

    def _text(self, column: Column, leaf: Leaf) -> str:
        if column.choices and leaf.value not in column.choices:
            leaf.must_be(str)
            return f"{self._named('convert', convert)}({self._named('column', column)}, {leaf.place})"
        leaf.must_be(self._domains[column.name].text)
        return leaf.place

    def _chosen(self, name: str, readings: list[_Reading]) -> str:
        """The best of the values that say something of a column; the others have to be values of it, too."""
        readings.sort(key=lambda reading: reading.rank)
        if len({reading.rank for reading in readings}) < len(readings):
            raise NoTranslatorError("two names of the same rank for one column")
        if len(readings) == 1 and not readings[0].may_be_nothing:
            return readings[0].expression
        expressions = [reading.expression for reading in readings]
        if all(reading.may_be_nothing for reading in readings):
            expressions.append(self._default(name))
        if all(reading.is_certain for reading in readings):
            said = self._named("said", None)
            first = "".join(f"{said} if ({said} := {expression}) is not None else " for expression in expressions[:-1])
            return f"({first}{expressions[-1]})"
        return f"{self._named('pick', _first_said)}({', '.join(expressions)})"

    def _always(self) -> frozenset[str]:
        """The columns that every line of the shape has a value of."""
        return frozenset(
            name for name, readings in self._readings.items() if not all(reading.may_be_nothing for reading in readings)
        )

    def _add_part_to_entity(self) -> None:
        """What the fields without a column say of the part of the machine: see :mod:`kernelsight.ingest.parts`."""
        kind, always = self._kind, self._always()
        if not self.others or kind.interval_s is None:
            return
        if all(isinstance(kind.by_name[name].semantics, Label) for name in always):
            raise NoTranslatorError("whether there is a measurement depends on its values")
        parts = [name for name in self.others if may_say_part(name) and self._leaves[name].json in ("int", "str")]
        if any(may_say_part(name) and self._leaves[name].json == "number" for name in self.others):
            raise NoTranslatorError("a number that may say a part")
        if not parts or is_told_apart(kind, always):
            return
        column = part_column(kind, always)
        if column is None or not set(kind.entity) <= always:
            raise NoTranslatorError("a part that no column can say, or an entity that its values tell")
        for name in parts:
            self._leaves[name].must_be({"int": int, "str": str}[self._leaves[name].json])
        apart = self._named("apart", at_once.PartNames(kind, column, always, tuple(parts)))
        places = ", ".join(self._leaves[name].place for name in parts)
        self._columns[column] = f"{apart}({self._columns[column]}, {places})"


@dataclass(frozen=True, slots=True)
class _Domain:
    """What a column takes without a second look."""

    bounds: tuple[int, int]
    any_real: bool
    text: Any


def _domains(struct: type[Event]) -> Mapping[str, _Domain]:
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    kind = kind_of(struct)
    return {field.name: _domain(kind.by_name[field.name], _plain(field.type)) for field in info.fields}


def _plain(type_: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Without what is said about it, and without None."""
    if isinstance(type_, msgspec.inspect.Metadata):
        return _plain(type_.type)
    if isinstance(type_, msgspec.inspect.UnionType):
        return _plain(next(part for part in type_.types if not isinstance(part, msgspec.inspect.NoneType)))
    return type_


def _domain(column: Column, type_: msgspec.inspect.Type) -> _Domain:
    low, high, any_real, text = INT64_MIN, INT64_MAX, True, None
    match type_:
        case msgspec.inspect.IntType(gt=gt, ge=ge, lt=lt, le=le):
            low = max(low, *(bound for bound in (ge, None if gt is None else gt + 1) if bound is not None), low)
            high = min(high, *(bound for bound in (le, None if lt is None else lt - 1) if bound is not None), high)
        case msgspec.inspect.FloatType(gt=gt, ge=ge, lt=lt, le=le):
            any_real = (gt, ge, lt, le) == (None, None, None, None)
        case msgspec.inspect.StrType(max_length=longest):
            text = Annotated[str, msgspec.Meta(max_length=longest or LONGEST_TEXT)]
        case msgspec.inspect.LiteralType(values=values):
            text = Literal[tuple(values)]
    if isinstance(column.semantics, Counter):
        low = max(low, 0)
    if isinstance(column.semantics, Gauge) and column.semantics.bits < 64:
        high = min(high, (1 << (column.semantics.bits - 1)) - 1)
    return _Domain((low, high), any_real, text)


def _is_plain(text: bytes) -> bool:
    """Whether no number of a line is so long or so small that a float hides it from the reference."""
    return not (_TINY.search(text) or _LONG.search(text))


_STAMPS: Mapping[str, tuple[Any, Callable[..., int]]] = {
    "int": (int, at_once.integer_stamp),
    "number": (msgspec.Raw, at_once.number_stamp),
    "str": (str, at_once.text_stamp),
}
_ZERO_OR_ONE = Literal[0, 1]


def _may_take(meaning: Meaning, json: str) -> bool:
    """Whether some value of a JSON type is a value of a column."""
    if json == "array":
        return False
    if meaning.flagged is not None or meaning.column.type == "BOOLEAN":
        return True
    return json == "str" or (json in {"int", "number"} and meaning.column.type != "TEXT")


def _is_number_or_name(meanings: Sequence[Meaning]) -> bool:
    number, name = (meaning.column for meaning in meanings)
    flagged = any(meaning.flagged is not None for meaning in meanings)
    return number.type in {"INTEGER", "REAL"} and name.type == "TEXT" and not name.choices and not flagged


def _says_nothing(meaning: Meaning) -> bool:
    """Whether one of the two answers says nothing of the column."""
    return meaning.flagged is not None and None in (meaning.flagged.yes, meaning.flagged.no)


def _first_said(*values: Stored | None) -> Stored | None:
    for value in values:
        if value is not None:
            return value
    return None
