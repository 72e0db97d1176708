"""What a process that is named did: one claim for each subject of which there is a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kernelsight.agent.plain.asked import Asked, way
from kernelsight.agent.plain.topics import TOPICS
from kernelsight.agent.plain.ways.most import ranked
from kernelsight.diagnosis.model import Step
from kernelsight.query.source import clipped


@way(
    r"\bwhat (?:did|does|do|is|was|has)\b.*\b(?:do|doing|done|up to)\b|\btell me about\b",
    order=35,
    example="what did postgres do?",
)
def profile(asked: Asked) -> Iterable[Step]:
    """Its share of everything that is known by process."""
    if not any(name.kind == "process" for name in asked.names):
        asked.limits.append("no process of that time is named in the question")
        return ()
    return _known(asked)


def _known(asked: Asked) -> Iterator[Step]:
    for topic in TOPICS:
        own = [metric for metric in topic.metrics if asked.conditions(metric)]
        metric = next((one for one in own if clipped(asked.reader, one.table, asked.when)), None)
        if metric is not None:
            limits = len(asked.limits)
            yield from ranked(asked, metric)
            # That it has none of something is no news here.
            del asked.limits[limits:]
