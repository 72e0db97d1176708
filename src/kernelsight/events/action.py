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
)
class ActionStep(Event, tag="action"):
    """One step of one action: proposed, refused, approved, begun, done, verified, undone."""

    action_id: Annotated[Text | None, Label(), Means("the same for all steps of one action")] = None
    stage: Annotated[Stage | None, Label()] = None
    action: Annotated[Text | None, Label(), Means("which of the actions, such as renice")] = None
    target_kind: Annotated[Text | None, Label()] = None
    target: Annotated[Text | None, Label(), Means("a pid, the path of a group")] = None
    target_name: Annotated[Text | None, Label()] = None
    start_ticks: Annotated[
        Int | None, Label("1/100 s since boot"), Means("with the pid, tells the process from the next that gets it")
    ] = None
    asked_by: Annotated[
        Literal["loop", "model", "person"] | None, Label(), Means("who asked for it; a refusal names who was refused")
    ] = None
    mode: Annotated[Text | None, Label(), Means("what the policy allows for it: observe propose approve auto")] = None
    parameters: Annotated[Text | None, Label(), Means("as JSON")] = None
    changes: Annotated[Text | None, Label(), Means("what is written where, and what was there before, as JSON")] = None
    diagnosis_id: Annotated[Text | None, Label(), Means("the diagnosis that it answers")] = None
    fault: Annotated[Text | None, Label()] = None
    verdict: Annotated[Verdict | None, Label()] = None
    symptom: Annotated[Text | None, Label(), Means("what the verdict compares: table, metric and how")] = None
    before: Annotated[Real | None, Gauge(), Means("the symptom before")] = None
    after: Annotated[Real | None, Gauge(), Means("and afterwards")] = None
    reason: Annotated[Text | None, Label(), Means("why, in words")] = None
    seal: Annotated[
        Text | None, Label(), Means("of the user who acts; without it a step is shown, but never acted upon")
    ] = None
    chain: Annotated[Text | None, Label(), Means("the chain of steps of one user in one database")] = None
    sequence: Annotated[Int | None, Label(), Means("the place of the step in its chain; the first is 1")] = None
    previous: Annotated[Text | None, Label(), Means("the seal of the step before it in its chain")] = None


@event(
    table="diagnoses",
    source="kernelsight agent",
    entity=("diagnosis_id",),
    indexes=(("diagnosis_id",), ("fault", "timestamp")),
    interval_s=None,
)
class DiagnosisRow(Event, tag="diagnosis"):
    """One finding of one diagnosis, stamped with the end of its window; a window without findings has one row.

    The agent writes down a window whose verdict, findings or muted findings are not those of the look before.
    """

    diagnosis_id: Annotated[Text | None, Label(), Means("the same for all findings of one window")] = None
    start_ns: Annotated[Int | None, Label("ns"), Means("where the window begins")] = None
    healthy: Annotated[Flag | None, Label(), Means("NULL: it is not known")] = None
    verdict: Annotated[Answer | None, Label(), Means("which of the three answers the window got")] = None
    unknown: Annotated[Text | None, Label(), Means("what was not recorded, so that nothing is known of it")] = None
    muted: Annotated[
        Text | None, Label(), Means("findings that somebody acknowledged, which are none of the verdict's")
    ] = None
    rank: Annotated[Int | None, Label(), Means("1: the most certain")] = None
    fault: Annotated[Text | None, Label()] = None
    culprit_kind: Annotated[Text | None, Label()] = None
    culprit: Annotated[Text | None, Label(), Means("a pid, a path, the name of a device")] = None
    culprit_name: Annotated[Text | None, Label()] = None
    confidence: Annotated[Real | None, Gauge()] = None
    onset_ns: Annotated[Int | None, Label("ns")] = None
    victims: Annotated[Text | None, Label(), Means("who suffers, as name (id), separated by ', '")] = None
    outlook: Annotated[Text | None, Label(), Means("what happens if nothing is done")] = None
    finding: Annotated[Text | None, Label(), Means("all of it, with its evidence, as JSON")] = None


@event(
    table="forecasts",
    source="kernelsight agent, from trends",
    entity=("resource", "owner"),
    indexes=(("resource", "timestamp"),),
    interval_s=None,
)
class Forecast(Event, tag="forecast"):
    """When a resource will be used up if it goes on like this, with the bounds that its scatter allows."""

    diagnosis_id: Annotated[Text | None, Label(), Means("of the look that made it")] = None
    resource: Annotated[Resource | None, Label()] = None
    owner: Annotated[Text | None, Label(), Means("whose: a process, a group, a mount; NULL: the machine's")] = None
    level: Annotated[Real | None, Gauge(), Means("what is used (of what is free: left) at the end")] = None
    level_limit: Annotated[Real | None, Gauge(), Means("where it ends")] = None
    per_second: Annotated[Real | None, Gauge("/s"), Means("Theil-Sen slope")] = None
    seconds_left: Annotated[Real | None, Gauge("s"), Means("until the limit is met")] = None
    soonest_s: Annotated[Real | None, Gauge("s"), Means("lower end of the 95 % interval")] = None
    latest_s: Annotated[Real | None, Gauge("s"), Means("upper end; NULL: the trend may as well have ended")] = None
    seen_s: Annotated[Real | None, Gauge("s"), Means("for how long it has been seen")] = None
