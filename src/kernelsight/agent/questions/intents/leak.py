"""Whether a process leaks: whether its memory, open files or connections grow steadily."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.words import at
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.diagnosis.window import grouped_by
from kernelsight.events.declare import kind_of
from kernelsight.events.fields import Metric, getter, name_of
from kernelsight.events.process import Process
from kernelsight.quantities import quantity
from kernelsight.query.presence import why_no_rows
from kernelsight.query.stored import stored_rows

_LEAST: Mapping[Metric[Process], float] = {Process.rss_kb: 8 * 1024.0, Process.fds: 32.0, Process.sockets: 32.0}
"""Growth over the time that is more than what programs do by themselves."""
_SHARE = 0.1
"""Of the level at the beginning, that it grew by at least."""
_SEEN_S = 20.0
_CALLED: Mapping[Metric[Process], str] = {
    Process.rss_kb: "memory", Process.fds: "open files", Process.sockets: "sockets",
}  # fmt: skip
_MOST = 5


@intent(
    r"\bleak\b|\bgrow\b|^(?=.*\b(?:memory|rss|fd|descriptor|file)\b).*\b(?:go up|increase|ris\w+|rose|"
    r"climb\w*)\b|\bkeep (?:eating|growing|use)\w*\b",
    order=36,
    examples=("is anything leaking memory?", "did postgres leak?"),
)
def leak(question: ParsedQuestion) -> Iterable[Step]:
    """Those that grow steadily up to the end of the time, the fastest first."""
    kind = kind_of(Process)
    if question.names and not question.names_of("process"):
        question.limits.append(f"growth is judged for each process, not for {question.names[0].said}")
        return
    if not question.recorded(kind):
        question.limits.append(why_no_rows(question.reader, kind.table, question.when))
        return
    metrics = _metrics(question.plain)
    where = question.conditions_of(kind)
    columns = [Process.pid, Process.start_ticks, Process.comm, *_CALLED]
    rows = stored_rows(question.reader, Process, question.when, where=where, columns=columns)
    if not rows:
        question.limits.append(why_no_rows(question.reader, kind.table, question.when))
        return
    growing = sorted(_growing(rows, metrics), key=lambda grown: -grown[2].per_second / _LEAST[grown[1]])
    if not growing:
        yield from _none(question, rows, metrics)
        return
    for place, (who, metric, going) in enumerate(growing[:_MOST]):
        unit = kind.by_name[name_of(metric)].unit
        head = "Yes, it looks like it: " if place == 0 and question.is_yes_no else ""
        grew = f"from {quantity(going.first, unit)} to {quantity(going.last, unit)} since {at(going.rows[0])}"
        shown = tuple(shown_by([row], metric, "last") for row in (going.rows[0], going.rows[-1]))
        yield Step(
            f"{head}{_CALLED[metric]} of {who} grew steadily {grew}, {quantity(going.per_second, f'{unit}/s')}", shown
        )


def _metrics(plain: str) -> list[Metric[Process]]:
    if re.search(r"\b(?:fd|descriptor|file|handle)\b", plain):
        return [Process.fds]
    if re.search(r"\b(?:connection|socket)\b", plain):
        return [Process.sockets]
    return [Process.rss_kb] if re.search(r"\b(?:memory|rss)\b", plain) else [Process.rss_kb, Process.fds]


def _growing(rows: list[Process], metrics: list[Metric[Process]]) -> Iterator[tuple[str, Metric[Process], Trend]]:
    for own in grouped_by(rows, lambda row: (row.pid, row.start_ticks)).values():
        for metric in metrics:
            going = trend(own, metric, up=True)
            if going is None or going.seconds < _SEEN_S or not _is_steady(going):
                continue
            grew = going.last - going.first
            if grew >= _LEAST[metric] and grew >= _SHARE * going.first:
                yield f"{own[-1].comm} ({own[-1].pid})", metric, going


def _is_steady(going: Trend) -> bool:
    """Whether it grew in the second half as well as in the first: what grows once and stays is no leak."""
    levels = [level for _, level in going.points]
    middle = levels[len(levels) // 2]
    grew = levels[-1] - levels[0]
    return min(middle - levels[0], levels[-1] - middle) >= 0.2 * grew


def _none(question: ParsedQuestion, rows: list[Process], metrics: list[Metric[Process]]) -> Iterator[Step]:
    seconds = (rows[-1].timestamp - rows[0].timestamp) / 1e9
    if seconds < _SEEN_S:
        question.limits.append(f"rows of {quantity(seconds, 's')} are too few to tell a leak")
        return
    who = ", ".join(name.said for name in question.names) if question.names else "no process"
    what = " or ".join(_CALLED[metric] for metric in metrics)
    own = [row for row in rows if getter(metrics[0])(row) is not None]
    if not own:
        question.limits.append(f"{what} of {who} was not recorded")
        return
    ends = [row for row in own if row.pid == own[-1].pid]
    kind = kind_of(Process)
    unit = kind.by_name[name_of(metrics[0])].unit
    shown = tuple(shown_by([row], metrics[0], "last") for row in (ends[0], ends[-1]))
    told = ""
    if question.names:
        told = f" ({quantity(shown[0].value, unit)} at first, {quantity(shown[1].value, unit)} at the end)"
    no = "does not grow" if question.names else "grew"
    yield Step(f"No: {who} {no} steadily in {what} over {quantity(seconds, 's')}{told}", shown)
