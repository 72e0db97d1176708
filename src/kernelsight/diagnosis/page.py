"""A diagnosis as one HTML page that needs nothing else: text, and a plot of every number that it cites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from kernelsight.diagnosis.commands import Commands, shell_command
from kernelsight.diagnosis.evidence_series import EvidenceSeries
from kernelsight.diagnosis.model import Diagnosis, Evidence, Finding
from kernelsight.diagnosis.naming import introduced, plain
from kernelsight.diagnosis.picture import BOX_WIDTH, picture
from kernelsight.diagnosis.report import cited, muted, not_excluded, since
from kernelsight.diagnosis.summary import considered, finding_sentence, sentence
from kernelsight.moments import time_of_day, to_next_second, to_second
from kernelsight.quantities import quantity

WIDTH, HEIGHT = 640, 90
"""Of a plot's area, in the units of its picture."""
TEMPLATES = ("kernelsight.diagnosis", "templates")
"""Package and directory of the templates."""
FILTERS: Mapping[str, Callable[..., Any]] = {
    "plain": plain,
    "not_excluded": not_excluded,
    "muted": muted,
    "to_second": to_second,
    "to_next_second": to_next_second,
    "since": since,
    "cited": cited,
}


class Plot(NamedTuple):
    """What the picture of a course consists of, in its own units."""

    line: str
    """Points of the line, `x,y x,y …`."""
    cited_x: float
    cited_width: float
    """The stretch that the claim is about."""
    onset_x: float
    """When the fault began."""
    high: str
    low: str
    start: str
    end: str
    title: str


def page(
    diagnosis: Diagnosis, series_by_evidence: Mapping[Evidence, EvidenceSeries], command: Commands = shell_command
) -> str:
    """The page; whatever names in it contain stays text.

    Args:
        diagnosis: what was found.
        series_by_evidence: how the cited numbers went over the window.
        command: what can be typed for a proposal.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only this page needs it

    environment = Environment(
        loader=PackageLoader(*TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    shown = context(diagnosis, series_by_evidence, command)
    return environment.get_template("page.html").render(shown)


def context(
    diagnosis: Diagnosis,
    series_by_evidence: Mapping[Evidence, EvidenceSeries],
    command: Commands,
    rows_path: Callable[[Evidence], str] = lambda _: "",
) -> Mapping[str, Any]:
    """What the template `incident.html` is filled with, on this page and on others; it needs :data:`FILTERS`, too.

    Args:
        diagnosis: what was found.
        series_by_evidence: how the cited numbers went over the window.
        command: what can be typed for a proposal.
        rows_path: where the cited rows are shown; empty where they are not.
    """
    plots = {
        (finding, evidence): plotted(finding, series_by_evidence[evidence])
        for finding in diagnosis.findings
        for step in finding.path
        for evidence in step.evidence
        if len(series_by_evidence[evidence].points) > 1
    }
    return {
        "diagnosis": diagnosis,
        "lead": sentence(diagnosis),
        "introduced": partial(introduced, diagnosis),
        "sentence_of": partial(finding_sentence, diagnosis),
        "picture": partial(picture, diagnosis),
        "box_width": BOX_WIDTH,
        "plots": plots,
        "width": WIDTH,
        "height": HEIGHT,
        "command": command,
        "rows_path": rows_path,
        "considered": considered(diagnosis),
    }


def plotted(finding: Finding, evidence_series: EvidenceSeries) -> Plot:
    """The picture of a course of at least one point."""
    start, end = evidence_series.window
    values = [value for _, value in evidence_series.points]
    low, high = min(0.0, *values), max(values)

    def x(at: int) -> float:
        return round(WIDTH * min(max(at - start, 0) / max(end - start, 1), 1.0), 1)

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (value - low) / (high - low if high > low else 1.0)), 1)

    first, last = x(evidence_series.cited[0]), x(evidence_series.cited[1])
    return Plot(
        line=" ".join(f"{x(at)},{y(value)}" for at, value in evidence_series.points),
        cited_x=first,
        cited_width=max(last - first, 2.0),
        onset_x=x(finding.onset_ns),
        high=quantity(high, evidence_series.unit),
        low=quantity(low, evidence_series.unit),
        start=time_of_day(start),
        end=time_of_day(end),
        title=f"{evidence_series.table}.{evidence_series.metric}",
    )
