"""What there is only so much of: how it is counted, who frees it, and how far ahead its end is foreseen.

A finding wakes somebody. A forecast (:mod:`kernelsight.agent.forecast`) wakes nobody, and looks further ahead. Growth
of memory, of counted things and of files, and forecasts, all scale one horizon and one foresight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend
from kernelsight.events.action import Resource
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event
from kernelsight.events.fields import Field
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process

E = TypeVar("E", bound=Event)

HORIZON_S = Threshold(
    7200.0, "s", because="judged: a limit that will be met later than in two hours leaves time to look again before"
)
FORESIGHT_TIMES = Threshold(
    60.0, "times as long as it has been seen", because="judged: from a minute of growth, an hour can be foreseen"
)
COUNTED_HORIZON_S = Threshold(
    HORIZON_S / 8,
    "s",
    because="judged: a quarter of an hour. Servers open descriptors and start tasks with their load, by the hour",
)
COUNTED_FORESIGHT_TIMES = Threshold(
    FORESIGHT_TIMES * 2 / 3,
    "times as long as it has been seen",
    because="judged: descriptors and tasks come and go with the load; growth without a step back goes on for less long "
    "than that of memory",
)
SPACE_HORIZON_S = Threshold(
    HORIZON_S / 12,
    "s",
    because="judged: ten minutes. A large copy fills a disk for minutes and then ends",
)
SPACE_FORESIGHT_TIMES = Threshold(
    FORESIGHT_TIMES / 15,
    "times as long as it has been seen",
    because="judged: files are written in bursts of known size; only a trend that has gone a fifth of its way is "
    "expected to go on to the end",
)
FORECAST_HORIZON_S = Threshold(
    3 * HORIZON_S,
    "s",
    because="judged: six hours. A forecast wakes nobody; what ends later than in a working day is seen in time",
)
FORECAST_FORESIGHT_TIMES = Threshold(
    FORESIGHT_TIMES / 2,
    "times as long as it has been seen",
    because="judged: a quarter of an hour ahead from half a minute. A forecast has only the trend, and no checks that "
    "tell a leak from a start",
)


@dataclass(frozen=True, slots=True)
class Exhaustible(Generic[E]):
    """A resource that can be used up, and from when on a finding foresees its end."""

    name: Resource
    level: Field[E, int | None]
    """The column that says how much is used, or how much is left."""
    whole: Field[E, int | None]
    """The column that says how much there may be."""
    freed_by: str
    """What gives it back."""
    horizon_s: Threshold
    """The end is foreseen at most so far ahead."""
    foresight_times: Threshold
    """A trend is expected to go on at most so many times as long as it has been seen."""
    is_left: bool = False
    """Whether the level is what is left, and ends at 0; else it is what is used, and ends at the whole."""

    def ends_in_s(self, going: Trend | None, whole: float | None) -> float | None:
        """Seconds until nothing is left, if it goes on like this; None where it is in no trend towards that."""
        end = 0.0 if self.is_left else float(whole or 0) or None
        return None if going is None or end is None else going.seconds_to(end)

    def ends_soon(self, going: Trend | None, whole: float | None) -> bool:
        """Whether a trend goes on, and its end is near enough to be foreseen."""
        if going is None or going.has_stopped:
            return False
        return self.is_foreseen(self.ends_in_s(going, whole), going.seconds)

    def is_foreseen(self, until_s: float | None, seen_s: float) -> bool:
        """Whether an end is near enough, and its cause has been seen for long enough, to be foreseen."""
        return until_s is not None and until_s <= min(self.horizon_s, self.foresight_times * seen_s)


MEMORY = Exhaustible(
    "memory",
    Memory.mem_available_kb,
    Memory.mem_total_kb,
    freed_by="the process that has it, by giving it back or ending; of page cache and unused slab, the kernel",
    horizon_s=HORIZON_S,
    foresight_times=FORESIGHT_TIMES,
    is_left=True,
)
GROUP_MEMORY = Exhaustible(
    "group_memory",
    Cgroup.memory_current_bytes,
    Cgroup.memory_limit_bytes,
    freed_by="the processes of the cgroup",
    horizon_s=HORIZON_S,
    foresight_times=FORESIGHT_TIMES,
)
SPACE = Exhaustible(
    "space",
    Filesystem.avail_bytes,
    Filesystem.size_bytes,
    freed_by="whoever removes files that nobody has open",
    horizon_s=SPACE_HORIZON_S,
    foresight_times=SPACE_FORESIGHT_TIMES,
    is_left=True,
)
INODES = Exhaustible(
    "inodes",
    Filesystem.inodes_free,
    Filesystem.inodes_total,
    freed_by="whoever removes files that nobody has open",
    horizon_s=SPACE_HORIZON_S,
    foresight_times=SPACE_FORESIGHT_TIMES,
    is_left=True,
)
DESCRIPTORS = Exhaustible(
    "descriptors",
    Process.fds,
    Process.fd_limit,
    freed_by="the process that opened them, by closing them or ending",
    horizon_s=COUNTED_HORIZON_S,
    foresight_times=COUNTED_FORESIGHT_TIMES,
)
TASKS = Exhaustible(
    "tasks",
    Cgroup.pids_current,
    Cgroup.pids_limit,
    freed_by="tasks that end; of ended children, their parent, by waiting for them",
    horizon_s=COUNTED_HORIZON_S,
    foresight_times=COUNTED_FORESIGHT_TIMES,
)
EXHAUSTIBLES: tuple[Exhaustible[Any], ...] = (MEMORY, SPACE, INODES, GROUP_MEMORY, TASKS, DESCRIPTORS)
"""All of them, as forecasts and the page of mechanisms go through them."""


def foresights() -> Mapping[str, Threshold]:
    """How far ahead ends are foreseen, by name: what all of them scale, then each."""
    return {name: value for name, value in globals().items() if isinstance(value, Threshold)}
