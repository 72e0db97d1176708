"""Charts: which there are, and their values over a range."""

from __future__ import annotations

from typing import Annotated

import msgspec

from kernelsight.errors import UsageError
from kernelsight.query.filters import Filter
from kernelsight.query.readings import STEPS_NS, step_for
from kernelsight.surfaces.web.chart import charts
from kernelsight.surfaces.web.course import course, drawn
from kernelsight.surfaces.web.desk import Desk
from kernelsight.surfaces.web.endpoint import NotFoundError, endpoint
from kernelsight.surfaces.web.span import From, To, span

_SECOND = 1_000_000_000


class NoArguments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing is asked."""


class Described(msgspec.Struct, kw_only=True):
    """A chart that there is."""

    name: str
    title: str
    help: str
    unit: str
    subject: str
    """The page that it stands on."""
    stacked: bool


@endpoint("/api/charts")
def all_charts(desk: Desk, asked: NoArguments) -> list[Described]:
    """List the charts."""
    del desk, asked
    return [
        Described(
            name=one.name, title=one.title, help=one.help, unit=one.unit, subject=one.subject, stacked=one.stacked
        )
        for one in charts().values()
    ]


class Asked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which chart, and when."""

    name: Annotated[str, msgspec.Meta(description="Name of the chart.", max_length=64)]
    of: Annotated[
        Annotated[str, msgspec.Meta(max_length=4_096)] | None,
        msgspec.Meta(description="Of what, where the chart is of one thing: a pid."),
    ] = None
    since: From = "15m"
    until: To = "now"
    points: Annotated[
        int,
        msgspec.Meta(
            description="About so many points a line, where the range is longer than an hour.", ge=2, le=4_000
        ),
    ] = 700


class Lines(msgspec.Struct, kw_only=True):
    """The values of a chart."""

    name: str
    unit: str
    start_ns: int
    end_ns: int
    step_ns: int
    """Rates are means over it."""
    times_ms: list[float]
    """Moments (ms since the epoch)."""
    labels: list[str]
    """A name for each line. Parts of them are names that anybody may have chosen."""
    values: list[list[float | None]]
    """For each line a value for each moment; null where it is not known."""
    left_out: int
    """Devices and the like that have no line because they did less than those that have."""


@endpoint("/api/charts/{name}")
def chart(desk: Desk, asked: Asked) -> Lines:
    """Give the values of a chart: rates as means over a step, levels at its ends; up to an hour every sample."""
    declared = charts().get(asked.name)
    if declared is None:
        raise NotFoundError(f"there is no chart {asked.name!r}; there are {', '.join(charts())}")
    when = span(asked.since, asked.until)
    if (declared.of is None) != (asked.of is None):
        wanted = "is of the whole machine; leave out `of`" if declared.of is None else "is of one thing: give `of`"
        raise UsageError(f"the chart {asked.name} {wanted}")
    only = [] if declared.of is None else [Filter(declared.of, "=", asked.of)]
    step_ns = STEPS_NS[0] if when.length_ns <= declared.whole_s * _SECOND else step_for(when, asked.points)
    with desk.reader() as reader:
        told = drawn(declared, course(reader, declared, when, step_ns, only))
    return Lines(
        name=declared.name,
        unit=declared.unit,
        start_ns=when.start_ns,
        end_ns=when.end_ns,
        step_ns=step_ns,
        times_ms=told.times_ms,
        labels=told.labels,
        values=told.values,
        left_out=told.left_out,
    )
