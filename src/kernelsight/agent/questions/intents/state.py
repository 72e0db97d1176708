"""What a process that is named did: one claim for each subject of which there is a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.top import ranked
from kernelsight.agent.questions.intents.why import concerns
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric, metric_of
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.naming import named, plain
from kernelsight.events.wire import kinds


@intent(
    r"^\W*(?:and )?(?:what|how|whats|hows)(?: (?:be|do|disk|interface|mount|have|it|the|up|to|go|perform\w*|"
    r"behav\w*))*$|"
    r"\btell me about\b|\bstate\b|\bstatus\b|\bsummary\b",
    order=48,
    examples=("what did postgres do?", "how is postgres doing?"),
)
def profile(question: ParsedQuestion) -> Iterable[Step]:
    """Everything that is known of it, a number each."""
    if not question.names:
        question.limits.append("the question names no process, disk, mount, interface or group of that time")
        return ()
    return _known(question)


def _known(question: ParsedQuestion) -> Iterator[Step]:
    for finding in question.diagnosis.present:
        if (
            concerns(finding, {str(name.value) for name in question.names})
            and finding.path
            and finding.path[0].evidence
        ):
            claim = f"{plain(finding.fault)} by {named(finding.culprit)}, {finding.confidence:.0%} sure"
            yield Step(claim, finding.path[0].evidence)
    for metric in _metrics():
        if len(question.conditions(metric)) == len(question.kinds_named) and question.recorded(metric.kind):
            limits = len(question.limits)
            yield from ranked(question, metric)
            # That it has none of something is no news here.
            del question.limits[limits:]


def _metrics() -> Iterator[Metric]:
    for kind in kinds().values():
        for column in kind.columns:
            if column.spoken is not None:
                yield metric_of(kind, column)
