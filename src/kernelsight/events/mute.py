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
)
class Mute(Event, tag="mute"):
    """A finding that somebody acknowledged: it stays muted for a time, or until it changes; or the end of that."""

    mute_id: Annotated[Text | None, Label(), Means("the same for its beginning and its end")] = None
    stage: Annotated[MuteStage | None, Label()] = None
    fault: Annotated[Text | None, Label(), Means("class of the finding")] = None
    culprit_kind: Annotated[Text | None, Label(), Means("NULL: whatever it is")] = None
    culprit: Annotated[Text | None, Label(), Means("its name, which stays the same when a job is started again")] = None
    reason: Annotated[Text | None, Label(), Means("why, in the words of whoever muted it")] = None
    until_ns: Annotated[Int | None, Label("ns"), Means("when it expires")] = None
    muted_by: Annotated[Text | None, Label(), Means("the user who asked for it, through sudo too")] = None
    confidence: Annotated[Real | None, Gauge(), Means("of the finding then; NULL: it was not there")] = None
    symptom: Annotated[Text | None, Label(), Means("what was measured of it: table, metric and how")] = None
    magnitude: Annotated[Real | None, Gauge(), Means("and how much that was, a second where it adds up")] = None
