"""What a chart is: lines that are calculated from columns of one kind of event, declared as data.

One module a subject in :mod:`kernelsight.surfaces.web.charts`; a new chart is one call of :func:`chart` there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.fields import Field, Metric, name_of
from kernelsight.query.filters import Filter
from kernelsight.registry import Registry

E = TypeVar("E", bound=Event)
Unit = Literal["%", "B", "B/s", "s", "s/s", "1/s", ""]
"""What the browser knows how to write; :data:`BASES` says what becomes of declared units."""
BASES: Mapping[str, float] = {
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "B": 1.0, "KiB": 1024.0, "512 B sectors": 512.0, "pages": 4096.0,
}  # fmt: skip
"""Declared units of times and sizes, in seconds and bytes; numbers of all other units stay as they are."""


@dataclass(frozen=True, slots=True)
class Line(Generic[E]):
    """One line of a chart: a sum of metrics, less others."""

    label: str
    plus: tuple[Metric[E], ...]
    minus: tuple[Metric[E], ...] = ()


@dataclass(frozen=True, slots=True)
class Chart(Generic[E]):
    """A chart."""

    name: str
    title: str
    help: str
    """What is drawn and what it means, a sentence or two."""
    struct: type[E]
    lines: tuple[Line[E], ...]
    unit: Unit
    subject: str
    """The page that it stands on."""
    only: tuple[Filter[E], ...] = ()
    per: tuple[Field[E, Any], ...] = ()
    """Columns whose values stand before the labels: each line is drawn once for each of their combinations."""
    out_of: tuple[Metric[E], ...] = ()
    """Metrics whose sum is the whole: lines are shares of it in percent."""
    percent: bool = False
    """Lines are seconds a second, shown in percent."""
    stacked: bool = False
    of: Field[E, Any] | None = None
    """Column whose value must be asked for: the chart is of that one, as of one process."""
    whole_s: int = 3_600
    """Of ranges up to so many seconds every sample is drawn; fewer where there are many entities."""
    rank: int = 0
    """Place on its page."""

    @property
    def kind(self) -> Kind:
        """The kind of event."""
        return kind_of(self.struct)

    @property
    def metrics(self) -> tuple[Metric[E], ...]:
        """All columns of numbers that it needs, each once."""
        used = [metric for line in self.lines for metric in (*line.plus, *line.minus)]
        return tuple({name_of(metric): metric for metric in (*used, *self.out_of)}.values())

    def scale(self, metric: Metric[E]) -> float:
        """By what a metric is multiplied."""
        return BASES.get(self.kind.by_name[name_of(metric)].unit, 1.0)


_CHARTS: Registry[str, Chart[Any]] = Registry(
    "chart", "kernelsight.surfaces.web.charts", order=lambda item: (item[1].rank, item[0])
)


def chart(declared: Chart[Any]) -> None:
    """Declare a chart."""
    _CHARTS.add(declared.name, declared)


def charts() -> Mapping[str, Chart[Any]]:
    """All charts by name, in the order in which they stand on their pages."""
    return _CHARTS.all()


def charts_of(subject: str) -> Sequence[Chart[Any]]:
    """The charts of a page."""
    return [one for one in charts().values() if one.subject == subject]
