"""What a rule is: data that says what is measured of which events, and from where on that is a symptom.

::

    rule(
        "memory_used_up",
        Memory,
        Measure(
            of=(Memory.mem_total_kb, minus(Memory.mem_available_kb)), per=(Memory.mem_total_kb,), scale=100, unit="%"
        ),
        levels={"warning": 92, "critical": 97},
        ...
    )

Nothing else knows a rule: :mod:`kernelsight.signals.samples` reads what the rules measure, and
:mod:`kernelsight.signals.episodes` makes episodes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from kernelsight.events.declare import Column, Counter, Delta, Event, Kind, kind_of
from kernelsight.events.fields import Field, Metric, name_of
from kernelsight.events.signal import Severity
from kernelsight.quantities import quantity
from kernelsight.query.filters import Condition, Filter

MOVED = 0.01
"""A level of the rate of a counter that moved at all, with samples up to a minute apart."""
SECOND_NS = 1_000_000_000
LOOKBACK_S = 120
"""What happened longer ago has no influence on what is found, but through an episode that has not ended."""

Function = Literal["sum", "max"]
E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", bound=Event, contravariant=True)


class Harm(NamedTuple):
    """What a critical value does to somebody."""

    sort: Literal["wait", "failure", "exhaustion"]
    """Somebody waits, a call fails, or something has run out."""
    text: str
    """Who waits for what, which call fails, or what has run out."""


@dataclass(frozen=True, slots=True)
class Term(Generic[E_contra]):
    """One term of a sum of columns: made by :func:`minus`, :func:`if_known`, :func:`product`, :func:`first_known`."""

    factors: tuple[str, ...]
    """Columns; none for the number of rows."""
    sign: float = 1.0
    optional: bool = False
    stand_in: Term[E_contra] | None = None
    """What counts instead where this has no value."""

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """Products of columns, of which the first that has a value counts."""
        return (self.factors, *(self.stand_in.choices if self.stand_in else ()))

    def __str__(self) -> str:
        """As people write it."""
        shown = " or ".join("*".join(factors) or "*" for factors in self.choices)
        return ("-" if self.sign < 0 else "") + (f"({shown})" if self.stand_in else shown)


COUNT: Term[Event] = Term(())
"""Of what is summed: the number of rows."""


def minus(column: Metric[E] | Term[E]) -> Term[E]:
    """Subtract it."""
    return replace(_term(column), sign=-1.0)


def if_known(column: Metric[E] | Term[E]) -> Term[E]:
    """Leave it out where it has no value and others do."""
    return replace(_term(column), optional=True)


def product(*columns: Metric[E]) -> Term[E]:
    """Several columns, multiplied."""
    return Term(tuple(map(name_of, columns)))


def first_known(column: Metric[E] | Term[E], stand_in: Metric[E] | Term[E]) -> Term[E]:
    """The first of the two that has a value."""
    return replace(_term(column), stand_in=_term(stand_in))


def _term(column: Metric[E] | Term[E]) -> Term[E]:
    return column if isinstance(column, Term) else Term((name_of(column),))


@dataclass(frozen=True, slots=True)
class Measure(Generic[E_contra]):
    """``(sum of columns) / (sum of other columns) * scale``; a counter stands for its rate a second.

    There is no value where a column is NULL, a counter has no sample before (or went back), or the divisor is below
    ``least_per``.
    """

    of: tuple[Metric[E_contra] | Term[E_contra], ...]
    unit: str
    per: tuple[Metric[E_contra] | Term[E_contra], ...] = ()
    scale: float = 1.0
    least_per: float = 0.0
    """A share of less than this says nothing; in the unit of ``per``."""
    function: Function = "sum"
    """For events that occur by themselves: how those of one second become one value."""

    @property
    def above(self) -> tuple[Term[E_contra], ...]:
        """The terms of the dividend."""
        return tuple(map(_term, self.of))

    @property
    def below(self) -> tuple[Term[E_contra], ...]:
        """The terms of the divisor; none where nothing is divided."""
        return tuple(map(_term, self.per))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are needed."""
        return tuple(dict.fromkeys(name for name in self._named()))

    def _named(self) -> Iterator[str]:
        for term in (*self.above, *self.below):
            for factors in term.choices:
                yield from factors

    def __str__(self) -> str:
        """The calculation, for people."""
        above, below = (" + ".join(map(str, terms)).replace("+ -", "- ") for terms in (self.above, self.below))
        if self.function == "max":
            above = f"max({above})"
        if len(self.of) > 1 and below:
            above = f"({above})"
        if len(self.per) > 1:
            below = f"({below})"
        return f"{above} / {below}" if below else above


@dataclass(frozen=True, slots=True)
class Rule:
    """A symptom: of what, measured how, from where on, and what is said of it."""

    name: str
    kind: Kind
    measure: Measure[Any]
    scope: str
    """What the entity is, in a word."""
    levels: Mapping[Severity, float]
    """From which value on it is how severe; the first, least one raises it."""
    clear_below: float
    """An episode goes on while the value is not below this, which is less than what raises it."""
    raise_after_s: int
    """So long the value must stay above; 0: one observation is enough."""
    clear_after_s: int
    """So long it must stay below (or not be seen) for the episode to be over."""
    because: str
    """Why this threshold, and where that is said."""
    summary: str
    """What is said; ``{value}`` is the worst, ``{amount}`` the same with its unit, other names are columns."""
    harm: Harm | None
    """What it does to somebody when it is critical; None: it never is."""
    healthy: str
    """On which machine it stands though nothing is wrong there, and for how long; empty: on none that is known."""
    by: tuple[str, ...]
    """Columns that make the entity."""
    where: tuple[Condition, ...] = ()
    sparse: bool = False
    """Whether a second without rows is one with nothing: of events, not of samples."""
    labels: tuple[str, ...] = field(default=())
    """Columns that the summary and the signal name beside the entity's."""
    subject: str = ""
    """Name of the module that declares it; the registry says it."""

    def said(self, value: float, labels: Mapping[str, object]) -> str:
        """The summary of a value and of the columns that it names."""
        unit = self.measure.unit.partition(" ")[0].partition("/")[0]
        return self.summary.format(value=value, amount=quantity(value, unit), **labels)

    @property
    def raise_at(self) -> float:
        """The least value that is a symptom."""
        return next(iter(self.levels.values()))

    def severity(self, value: float) -> Severity:
        """How severe a value is that is at least :attr:`raise_at`."""
        return [name for name, level in self.levels.items() if value >= level][-1]

    @property
    def grouped(self) -> bool:
        """Whether the rows of several of the kind's entities are taken together."""
        return self.by != self.kind.entity

    @property
    def by_store(self) -> bool:
        """Whether the store does the sums, for which it needs to know no sample before."""
        return not self.counters and (self.grouped or self.kind.interval_s is None)

    @property
    def counters(self) -> tuple[str, ...]:
        """The measured columns of which the rate counts."""
        return tuple(name for name in self.measure.columns if isinstance(self.column(name).semantics, Counter))

    def column(self, name: str) -> Column:
        """A column of its kind."""
        return self.kind.by_name[name]


def rule(  # noqa: PLR0913 - a declaration says everything there is to say, by keyword
    name: str,
    struct: type[E],
    measure: Measure[E],
    *,
    scope: str,
    levels: Mapping[Severity, float],
    because: str,
    summary: str,
    harm: Harm | None = None,
    healthy: str = "",
    clear_below: float | None = None,
    raise_after_s: int = 0,
    clear_after_s: int = 10,
    by: tuple[Field[E, Any], ...] | None = None,
    where: tuple[Filter[E], ...] = (),
) -> Rule:
    """A rule, complete and checked.

    Args:
        name: its name.
        struct: the events that it looks at.
        measure: see :class:`Measure`.
        scope: see :class:`Rule`, here and below.
        levels: least severe first.
        because: reason and source of the threshold.
        summary: a format string of `value`, `amount` (the value with its unit, as people read it) and columns.
        harm: what a critical value does to somebody; a rule whose measure does not show that has no such level.
        healthy: see :class:`Rule`.
        clear_below: nine tenths of what raises it by default.
        raise_after_s: 0 by default.
        clear_after_s: the time in which a pause does not end an episode.
        by: the kind's own entity by default; the rows of one second that are alike in these columns are taken
            together.
        where: conditions on rows.

    Raises:
        TypeError: the declaration contradicts itself or the kind's.
    """
    kind = kind_of(struct)
    entity = kind.entity if by is None else tuple(map(name_of, by))
    fields = [field for _, field, _, _ in Formatter().parse(summary) if field and field not in {"value", "amount"}]
    if "comm" in entity and "pid" in kind.by_name:
        fields.append("pid")  # of one process of the program
    semantics = {type(kind.by_name[name].semantics) for name in measure.columns if name in kind.by_name}
    labels = tuple(dict.fromkeys(name for name in fields if name not in entity))
    declared = Rule(
        name=name,
        kind=kind,
        measure=measure,
        scope=scope,
        levels=dict(levels),
        clear_below=min(levels.values()) * 0.9 if clear_below is None else clear_below,
        raise_after_s=raise_after_s,
        clear_after_s=clear_after_s,
        because=because,
        summary=summary,
        harm=harm,
        healthy=healthy,
        by=entity,
        where=where,
        sparse=kind.interval_s is None or Delta in semantics or (entity != kind.entity and Counter not in semantics),
        labels=labels,
    )
    _check(declared)
    return declared


def _check(declared: Rule) -> None:
    levels = list(declared.levels.values())
    if not levels or levels != sorted(levels) or declared.clear_below > levels[0]:
        raise TypeError(f"{declared.name}: levels go up, and an episode is over below the first of them")
    if ("critical" in declared.levels) != (declared.harm is not None):
        raise TypeError(f"{declared.name}: critical is what harms somebody; say whom and how (`harm`), or leave it out")
    columns = (
        *declared.measure.columns,
        *declared.by,
        *declared.labels,
        *(condition.column for condition in declared.where),
    )
    if unknown := [name for name in columns if name not in declared.kind.by_name]:
        raise TypeError(f"{declared.name}: {declared.kind.table} has no column {unknown[0]!r}")
    if max(declared.raise_after_s, declared.clear_after_s) >= LOOKBACK_S // 2:
        raise TypeError(f"{declared.name}: a rule looks back {LOOKBACK_S // 2} s at most")
    if declared.grouped and declared.counters and declared.measure.per:
        raise TypeError(f"{declared.name}: shares of several entities do not add up")
