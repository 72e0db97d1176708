"""Named symptoms."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, Real, Text, event

Severity = Literal["info", "warning", "critical"]


@event(
    table="signals",
    source="kernelsight signals, from the events in the store (docs/signals.md)",
    entity=("rule", "entity"),
    indexes=(("rule", "timestamp"), ("severity", "timestamp")),
    interval_s=None,
)
class Signal(Event, tag="signal"):
    """One episode of a symptom of one entity, stamped with its beginning; its row is replaced while it goes on."""

    rule: Annotated[Text | None, Label(), Means("name of the rule")] = None
    subject: Annotated[Text | None, Label(), Means("subject of the rule, such as memory or block")] = None
    severity: Annotated[Severity | None, Label(), Means("greatest so far")] = None
    scope: Annotated[
        Text | None,
        Label(),
        Means("sort of entity: machine, program (all processes of a name), process, cgroup ..."),
    ] = None
    entity: Annotated[Text | None, Label(), Means("columns that name the entity, as name=value; NULL: the machine")] = (
        None
    )
    pid: Annotated[Int | None, Label(), Means("the process, or one process of the program")] = None
    comm: Annotated[Text | None, Label()] = None
    summary: Annotated[Text | None, Label(), Means("one sentence, with the worst value")] = None
    last_seen_ns: Annotated[Int | None, Label("ns"), Means("last observation of the episode")] = None
    end_ns: Annotated[Int | None, Label("ns"), Means("end of the episode; NULL: the episode goes on")] = None
    count: Annotated[Int | None, Gauge("observations"), Means("observations of the episode")] = None
    table_name: Annotated[Text | None, Label(), Means("evidence: table")] = None
    metric: Annotated[
        Text | None, Label(), Means("evidence: columns, as calculated; a counter stands for its rate")
    ] = None
    unit: Annotated[Text | None, Label()] = None
    value: Annotated[Real | None, Gauge(), Means("evidence: the worst")] = None
    value_ns: Annotated[Int | None, Label("ns"), Means("when the symptom was worst")] = None
    threshold: Annotated[Real | None, Gauge(), Means("value at which the symptom begins")] = None
