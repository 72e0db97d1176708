"""The machine's clocks, when one of them jumps."""

from typing import Annotated

from kernelsight.events.declare import Event, Gauge, Int, Label, Means, event


@event(
    table="clock_steps",
    source="CLOCK_REALTIME, CLOCK_BOOTTIME and CLOCK_MONOTONIC, compared before every grid point",
    recognised_by=(("step_ns", "suspended_ns"),),
    interval_s=None,
)
class ClockStep(Event, tag="clock_step"):
    """The wall clock was set by half a second or more, or the machine was suspended (clock_gettime(2)).

    Stamps follow the wall clock: rows that came before this one have stamps up to `before_ns` less
    `suspended_ns`, those that came after it begin at `timestamp`.
    """

    step_ns: Annotated[Int | None, Gauge("ns"), Means("by how much the clock was set; negative: back")] = None
    suspended_ns: Annotated[Int | None, Gauge("ns"), Means("how long the machine was asleep; 0: it was not")] = None
    before_ns: Annotated[Int | None, Label("ns"), Means("time that the clock would show now if nobody had set it")] = (
        None
    )
    monotonic_ns: Annotated[Int | None, Label("ns"), Means("CLOCK_MONOTONIC at this moment")] = None
