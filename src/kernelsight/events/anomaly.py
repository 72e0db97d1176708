"""What the anomaly detector found."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, Real, Text, event


@event(
    table="anomalies",
    source="kernelsight anomalies, from the series in the store",
    entity=("table_name", "metric", "entity"),
    indexes=(("incident", "timestamp"), ("table_name", "metric", "timestamp"), ("score",)),
    interval_s=None,
)
class Anomaly(Event, tag="anomaly"):
    """One series that left what it had learned to be usual, stamped with its onset.

    An anomaly that was written while it was open is written again when it is over; the last row counts.
    """

    incident: Annotated[
        Int | None, Label("ns"), Means("onset of the incident: of the first of the anomalies that began together")
    ] = None
    table_name: Annotated[Text | None, Label(), Means("table of the series")] = None
    metric: Annotated[Text | None, Label(), Means("column of the series; a counter stands for its rate")] = None
    entity: Annotated[Text | None, Label(), Means("columns that name the entity, as name=value; NULL: the machine")] = (
        None
    )
    unit: Annotated[Text | None, Label()] = None
    kind: Annotated[
        Literal["spike", "shift", "flat", "pattern"] | None,
        Label(),
        Means(
            "spike: left its range and came back; shift: left it and stayed; flat: stopped moving; "
            "pattern: a new course within its range"
        ),
    ] = None
    direction: Annotated[Literal["up", "down"] | None, Label()] = None
    end_ns: Annotated[
        Int | None,
        Label("ns"),
        Means("last observation of the anomaly; NULL: the anomaly was not over when the row was written"),
    ] = None
    score: Annotated[
        Real | None,
        Gauge(),
        Means("greatest score: minus the decimal logarithm of the rarity for this series (docs/anomalies.md)"),
    ] = None
    value: Annotated[Real | None, Gauge(), Means("value at the greatest score, in the unit of the series")] = None
    low: Annotated[Real | None, Gauge(), Means("baseline at the onset: 1st percentile of the usual values")] = None
    high: Annotated[Real | None, Gauge(), Means("baseline at the onset: 99th percentile of the usual values")] = None
    observations: Annotated[Int | None, Gauge("observations"), Means("that were odd")] = None
