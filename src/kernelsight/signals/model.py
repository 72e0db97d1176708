"""What a rule is: data that says what is measured of which events, and from where on that is a symptom.

::

    rule(
        "memory_used_up",
        Memory,
        Measure(of=("mem_total_kb", "-mem_available_kb"), per=("mem_total_kb",), scale=100, unit="%"),
        levels={"warning": 92, "critical": 97},
        ...
    )

Nothing else knows a rule: :mod:`kernelsight.signals.samples` reads what the rules measure, and
:mod:`kernelsight.signals.episodes` makes episodes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Literal, NamedTuple

from kernelsight.events.declare import Column, Counter, Delta, Event, Kind, kind_of
from kernelsight.events.signal import Severity
from kernelsight.quantities import quantity
from kernelsight.query.filters import Condition

MOVED = 0.01
"""A level of the rate of a counter that moved at all, with samples up to a minute apart."""
SECOND_NS = 1_000_000_000
LOOKBACK_S = 120
"""What happened longer ago has no influence on what is found, but through an episode that has not ended."""
COUNT = "*"
"""As a column of a summed measure: the number of rows."""

Function = Literal["sum", "max"]


class Term(NamedTuple):
    """One term of a sum of columns."""

    sign: float
    optional: bool
    factors: tuple[str, ...]
    """Columns, or :data:`COUNT`."""

    @classmethod
    def parse(cls, text: str) -> Term:
        """Read ``-?huge_pages_total*huge_page_size_kb``."""
        marks = text[: len(text) - len(text.lstrip("-?"))]
        name = text[len(marks) :]
        factors = (COUNT,) if name == COUNT else tuple(name.split("*"))
        return cls(-1.0 if "-" in marks else 1.0, "?" in marks, factors)


@dataclass(frozen=True, slots=True)
class Measure:
    """``(sum of columns) / (sum of other columns) * scale``; a counter stands for its rate a second.

    A minus before a column subtracts it. There is no value where a column is NULL, a counter has no sample
    before (or went back), or the divisor is below ``least_per``. A question mark before a column lets it be
    left out where it has no value and others do. A ``*`` between two columns multiplies them.
    """

    of: tuple[str, ...]
    unit: str
    per: tuple[str, ...] = ()
    scale: float = 1.0
    least_per: float = 0.0
    """A share of less than this says nothing; in the unit of ``per``."""
    function: Function = "sum"
    """For events that occur by themselves: how those of one second become one value."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are needed."""
        factors = (name for term in (*self.of, *self.per) if term != COUNT for name in Term.parse(term).factors)
        return tuple(dict.fromkeys(factors))

    def __str__(self) -> str:
        """The calculation, for people."""
        above, below = (" + ".join(terms).replace("+ -", "- ").replace("?", "") for terms in (self.of, self.per))
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
    measure: Measure
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
    harm: str
    """Who waits, what fails or what has run out when it is critical; empty: it never is."""
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
    struct: type[Event],
    measure: Measure,
    *,
    scope: str,
    levels: Mapping[Severity, float],
    because: str,
    summary: str,
    harm: str = "",
    clear_below: float | None = None,
    raise_after_s: int = 0,
    clear_after_s: int = 10,
    by: tuple[str, ...] | None = None,
    where: tuple[str | Condition, ...] = (),
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
    entity = kind.entity if by is None else by
    fields = [field for _, field, _, _ in Formatter().parse(summary) if field and field not in {"value", "amount"}]
    if "comm" in entity and "pid" in kind.by_name:
        fields.append("pid")  # of one process of the program
    semantics = {type(kind.by_name[name].semantics) for name in measure.columns if name in kind.by_name}
    labels = tuple(dict.fromkeys(name for name in fields if name not in entity))
    found = Rule(
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
        by=entity,
        where=tuple(Condition.parse(one) if isinstance(one, str) else one for one in where),
        sparse=kind.interval_s is None or Delta in semantics or (entity != kind.entity and Counter not in semantics),
        labels=labels,
    )
    _check(found)
    return found


def _check(found: Rule) -> None:
    levels = list(found.levels.values())
    if not levels or levels != sorted(levels) or found.clear_below > levels[0]:
        raise TypeError(f"{found.name}: levels go up, and an episode is over below the first of them")
    if ("critical" in found.levels) != bool(found.harm):
        raise TypeError(f"{found.name}: critical is what harms somebody; say whom and how (`harm`), or leave it out")
    columns = (*found.measure.columns, *found.by, *found.labels, *(one.column for one in found.where))
    if unknown := [name for name in columns if name not in found.kind.by_name]:
        raise TypeError(f"{found.name}: {found.kind.table} has no column {unknown[0]!r}")
    if max(found.raise_after_s, found.clear_after_s) >= LOOKBACK_S // 2:
        raise TypeError(f"{found.name}: a rule looks back {LOOKBACK_S // 2} s at most")
    if found.grouped and found.counters and found.measure.per:
        raise TypeError(f"{found.name}: shares of several entities do not add up")
