"""What people acknowledged."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, Real, Text, event

MuteStage = Literal["muted", "unmuted"]


@event(
    table="mutes",
    source="kernelsight mute",
    entity=("mute_id",),
    indexes=(("mute_id", "timestamp"),),
    interval_s=None,
    lasting=True,
)
class Mute(Event, tag="mute"):
    """The acknowledgement of a finding, which stays muted for a time or until it changes; or the end of a mute."""

    mute_id: Annotated[Text | None, Label(), Means("id of the mute; its beginning and its end have the same")] = None
    stage: Annotated[MuteStage | None, Label()] = None
    fault: Annotated[Text | None, Label(), Means("class of the finding")] = None
    culprit_kind: Annotated[Text | None, Label(), Means("NULL: any culprit")] = None
    culprit: Annotated[
        Text | None, Label(), Means("name of the culprit, which stays the same when a job is started again")
    ] = None
    reason: Annotated[Text | None, Label(), Means("why, in the words of whoever muted it")] = None
    until_ns: Annotated[Int | None, Label("ns"), Means("when it expires")] = None
    muted_by: Annotated[Text | None, Label(), Means("the user who asked for it, through sudo too")] = None
    confidence: Annotated[
        Real | None, Gauge(), Means("confidence of the finding at that time; NULL: there was no finding")
    ] = None
    symptom: Annotated[Text | None, Label(), Means("the symptom that was measured: table, metric and function")] = None
    magnitude: Annotated[Real | None, Gauge(), Means("value of the symptom; of a sum: per second")] = None
