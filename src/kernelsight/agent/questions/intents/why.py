"""Why something is slow, or what is wrong at all: the diagnosis, and what the one who is named waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.incidents import incidents
from kernelsight.agent.questions.intents.kills import kills
from kernelsight.agent.questions.intents.waits import long_waits
from kernelsight.agent.questions.names import Name
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.model import Evidence, Finding, Step
from kernelsight.events.declare import kind_of
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.events.syscalls import Syscall
from kernelsight.quantities import quantity
from kernelsight.query.source import clipped

_QUEUE = Metric(SchedProcess.runqueue_ms)
_CALLS = Metric(Syscall.latency_ns)
_MOST_WAITS = 3
_TELLING_S = 0.1
"""Shorter waits within a window are what every program does."""


@intent(
    r"\b(?:why|cause|reason|diagnose|explain|culprit|to blame)\b|^(?!.*\b(?:disk|io|device|p\d+|syscall|"
    r"which|who)\b).*\bslow\b",
    order=10,
    examples=("why was postgres slow around 14:05?", "why is my web server slow?"),
)
def why(question: ParsedQuestion) -> Iterable[Step]:
    """The findings answer; of whom the question names, what they waited for is said too."""
    question.explains = True
    if (
        any(incident.is_failure and "OOM killer" in incident.claim for incident in incidents(question))
        and question.names
    ):
        yield from kills(question)
    for name in question.names:
        yield from _about(question, name)
    if not question.names:
        return
    named = {str(name.value) for name in question.names}
    if not any(concerns(finding, named) for finding in question.diagnosis.present):
        question.limits.append(
            f"no finding of that time is about {', '.join(sorted(named))}; what it waited for is above"
        )


def concerns(finding: Finding, named: set[str]) -> bool:
    """Whether a finding is about somebody who is named."""
    entities = (finding.culprit, *finding.victims)
    return any(entity.name in named or entity.id in named for entity in entities)


def _about(question: ParsedQuestion, name: Name) -> Iterator[Step]:
    if queued := _own(question, name, _QUEUE):
        yield Step(f"{name.said} was ready to run and had no CPU for {quantity(queued.value, 'ms')}", (queued,))
    yield from _waits(question, name)
    if (longest := _own(question, name, _CALLS, least=0.0)) is not None:
        yield Step(f"the longest system call of {name.said} took {quantity(longest.value, 'ns')}", (longest,))


def _own(question: ParsedQuestion, name: Name, metric: Metric, least: float = _TELLING_S * 1e3) -> Evidence | None:
    condition = name.condition(metric)
    if condition is None or clipped(question.reader, metric.table, question.when) is None:
        return None
    own_wait = question.evidence(metric, where=[condition])
    return own_wait if own_wait is not None and own_wait.value > least else None


def _waits(question: ParsedQuestion, name: Name) -> Iterator[Step]:
    """Whom it waited for while it could not go on: uninterruptibly, or for another process."""
    condition = name.condition_of(kind_of(Wait))
    if condition is not None:
        for wait in long_waits(question, [condition], (), _MOST_WAITS):
            yield Step(f"{name.said} was blocked{wait.how}", (wait.evidence,))
