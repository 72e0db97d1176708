"""What the agent decided and did: the audit of actions, and the diagnoses that they answer."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Flag, Gauge, Int, Label, Means, Real, Text, event

Stage = Literal[
    "proposed", "refused", "declined", "approved", "begun", "done", "failed", "verified", "undone", "undo_failed"
]
"""The steps of an action. `begun` is on disk before anything is written; what it says is enough to undo it."""

Resource = Literal["memory", "group_memory", "descriptors", "space", "inodes", "tasks"]

Answer = Literal["healthy", "findings", "unknown"]

Verdict = Literal["better", "same", "worse", "unknown"]


@event(
    table="actions",
    source="kernelsight agent",
    entity=("action_id",),
    indexes=(("action_id", "timestamp"), ("stage", "timestamp")),
    interval_s=None,
    lasting=True,
)
class ActionStep(Event, tag="action"):
    """One step of one action: proposed, refused, approved, begun, done, verified, undone."""

    action_id: Annotated[Text | None, Label(), Means("id of the action; all its steps have the same")] = None
    stage: Annotated[Stage | None, Label()] = None
    action: Annotated[Text | None, Label(), Means("name of the action, such as renice")] = None
    target_kind: Annotated[Text | None, Label()] = None
    target: Annotated[Text | None, Label(), Means("a pid, the path of a group")] = None
    target_name: Annotated[Text | None, Label()] = None
    start_ticks: Annotated[
        Int | None,
        Label("1/100 s since boot"),
        Means("with the pid, tells the process from a later one with the same pid"),
    ] = None
    asked_by: Annotated[
        Literal["loop", "model", "person"] | None,
        Label(),
        Means("who asked for the action; of a refusal: whose request was refused"),
    ] = None
    mode: Annotated[
        Text | None, Label(), Means("what the policy allows for this action: observe propose approve auto")
    ] = None
    parameters: Annotated[Text | None, Label(), Means("as JSON")] = None
    changes: Annotated[
        Text | None, Label(), Means("the writes, each with its place, its new and its old value, as JSON")
    ] = None
    diagnosis_id: Annotated[Text | None, Label(), Means("the diagnosis that the action answers")] = None
    fault: Annotated[Text | None, Label()] = None
    verdict: Annotated[Verdict | None, Label()] = None
    symptom: Annotated[
        Text | None, Label(), Means("the measurement that the verdict compares: table, metric and function")
    ] = None
    before: Annotated[Real | None, Gauge(), Means("the symptom before")] = None
    after: Annotated[Real | None, Gauge(), Means("and afterwards")] = None
    reason: Annotated[Text | None, Label(), Means("why, in words")] = None
    seal: Annotated[
        Text | None, Label(), Means("seal of the user who acts; a step without a seal is shown, but never acted upon")
    ] = None
    chain: Annotated[Text | None, Label(), Means("the chain of steps of one user in one database")] = None
    sequence: Annotated[Int | None, Label(), Means("position of the step in its chain; the first is 1")] = None
    previous: Annotated[Text | None, Label(), Means("seal of the previous step in the chain")] = None


@event(
    table="diagnoses",
    source="kernelsight agent",
    entity=("diagnosis_id",),
    indexes=(("diagnosis_id",), ("fault", "timestamp")),
    interval_s=None,
    lasting=True,
)
class DiagnosisRow(Event, tag="diagnosis"):
    """One finding of one diagnosis, stamped with the end of its window; a window without findings has one row.

    The agent writes down a window whose verdict, findings or muted findings are not those of the look before.
    """

    diagnosis_id: Annotated[
        Text | None, Label(), Means("id of the diagnosis; all findings of one window have the same")
    ] = None
    start_ns: Annotated[Int | None, Label("ns"), Means("start of the window")] = None
    healthy: Annotated[Flag | None, Label(), Means("NULL: not known")] = None
    verdict: Annotated[Answer | None, Label(), Means("one of the three answers")] = None
    unknown: Annotated[Text | None, Label(), Means("what was not recorded, and is therefore not known")] = None
    muted: Annotated[
        Text | None, Label(), Means("findings that somebody acknowledged; the verdict does not count them")
    ] = None
    rank: Annotated[Int | None, Label(), Means("1: the finding with the highest confidence")] = None
    fault: Annotated[Text | None, Label()] = None
    culprit_kind: Annotated[Text | None, Label()] = None
    culprit: Annotated[Text | None, Label(), Means("a pid, a path, the name of a device")] = None
    culprit_name: Annotated[Text | None, Label()] = None
    confidence: Annotated[Real | None, Gauge()] = None
    onset_ns: Annotated[Int | None, Label("ns")] = None
    victims: Annotated[Text | None, Label(), Means("victims, as name (id), separated by ', '")] = None
    outlook: Annotated[Text | None, Label(), Means("what happens if nobody acts")] = None
    finding: Annotated[Text | None, Label(), Means("the whole finding with its evidence, as JSON")] = None
    sentence: Annotated[
        Text | None, Label(), Means("who does what since when, what that is to whom, and how sure that is")
    ] = None


@event(
    table="forecasts",
    source="kernelsight agent, from trends",
    entity=("resource", "owner"),
    indexes=(("resource", "timestamp"),),
    interval_s=None,
)
class Forecast(Event, tag="forecast"):
    """When a resource will be used up if its trend goes on, with the bounds that the scatter of the trend allows."""

    diagnosis_id: Annotated[Text | None, Label(), Means("id of the look that made the forecast")] = None
    resource: Annotated[Resource | None, Label()] = None
    owner: Annotated[
        Text | None, Label(), Means("owner of the resource: a process, a group, a mount; NULL: the machine")
    ] = None
    level: Annotated[Real | None, Gauge(), Means("use at the end of the window; of a free resource: what is left")] = (
        None
    )
    level_limit: Annotated[Real | None, Gauge(), Means("where it ends")] = None
    per_second: Annotated[Real | None, Gauge("/s"), Means("Theil-Sen slope")] = None
    seconds_left: Annotated[Real | None, Gauge("s"), Means("time until the limit is reached")] = None
    soonest_s: Annotated[Real | None, Gauge("s"), Means("lower end of the 95 % interval")] = None
    latest_s: Annotated[Real | None, Gauge("s"), Means("upper end; NULL: the trend may have ended")] = None
    seen_s: Annotated[Real | None, Gauge("s"), Means("how long the trend has been observed")] = None
