"""When what is limited will be used up if it goes on like this, and how uncertain that is.

The slope is the median of the slopes between all pairs of points, its interval follows from the ranks that Kendall's
statistic has by chance (Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968). Points
of a level are not independent, so that the interval is rather too narrow; it says how steady the trend was, not what
the program will do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from kernelsight.diagnosis.exhaustible import (
    DESCRIPTORS,
    FORECAST_FORESIGHT_TIMES,
    FORECAST_HORIZON_S,
    GROUP_MEMORY,
    INODES,
    MEMORY,
    SPACE,
    TASKS,
    Exhaustible,
)
from kernelsight.diagnosis.measure import slopes, some_of
from kernelsight.diagnosis.trend import trend
from kernelsight.diagnosis.window import NS_PER_S, grouped_by
from kernelsight.events.action import Forecast
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, entity_of, getter, row_getter
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.query.filters import Filter
from kernelsight.query.stored import moment, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

E = TypeVar("E", bound=Event)

_LEAST_FILES = 16
"""Of the usual limit of 1024, a trend that is followed :data:`FORECAST_FORESIGHT_TIMES` times as far has used a 31st,
which is twice this; half of that for smaller limits."""
_STALE_S = 60.0
"""Since the last row, so that what is sampled by the minute still counts."""
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth a second, with the ends of its 95 % interval."""

    low: float
    middle: float
    high: float


def slope(points: Sequence[tuple[int, float]]) -> Slope | None:
    """The slope of a level, by Theil and Sen; None for fewer than three points."""
    some = some_of(points)
    ordered = sorted(slopes(some))
    n, pairs = len(some), len(ordered)
    if n < 3 or not pairs:
        return None
    spread = _Z95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(math.floor((pairs - spread) / 2), 0)
    high = min(math.ceil((pairs + spread) / 2), pairs - 1)
    middle = (ordered[(pairs - 1) // 2] + ordered[pairs // 2]) / 2
    return Slope(ordered[low], middle, ordered[high])


@dataclass(frozen=True, slots=True)
class _Watched:
    """Something that is limited."""

    resource: Exhaustible[Any]
    owner: str | None
    rows: Sequence[Event]
    whole: float | None
    """As much as there may be; None where the level is what is left, and this is not asked for."""

    @property
    def limit(self) -> float:
        """The level at which it is used up."""
        return 0.0 if self.resource.is_left else self.whole or 0.0


def forecasts(reader: Reader, when: TimeRange) -> list[Forecast]:
    """What will be used up within the horizon, the soonest first."""
    ahead = [
        forecast
        for watched in _limited(reader, when)
        if _goes_on(watched, when) and (forecast := _of(watched)) is not None
    ]
    return sorted(ahead, key=lambda forecast: forecast.seconds_left or 0.0)


def _goes_on(watched: _Watched, when: TimeRange) -> bool:
    """Whether it is still seen: of what is not recorded any more, nothing can be foreseen."""
    return bool(watched.rows) and when.end_ns - moment(watched.rows[-1]) <= _STALE_S * NS_PER_S


def _of(watched: _Watched) -> Forecast | None:
    """The forecast of one resource; None while it is in no steady trend, or the end is far."""
    resource = watched.resource
    going = trend(watched.rows, resource.level, up=not resource.is_left) if watched.rows else None
    seconds = resource.ends_in_s(going, watched.whole)
    if going is None or going.has_stopped or seconds is None:
        return None
    if seconds > min(FORECAST_HORIZON_S, FORECAST_FORESIGHT_TIMES * going.seconds):
        return None
    speed = slope(going.points)
    if speed is None:
        return None
    fast, slow = (speed.high, speed.low) if not resource.is_left else (speed.low, speed.high)
    return Forecast(
        going.rows[-1].timestamp,
        resource=resource.name,
        owner=watched.owner,
        level=going.last,
        level_limit=watched.limit,
        per_second=speed.middle,
        seconds_left=seconds,
        soonest_s=replace(going, per_second=fast).seconds_to(watched.limit),
        latest_s=replace(going, per_second=slow).seconds_to(watched.limit),
        seen_s=going.seconds,
    )


def _limited(reader: Reader, when: TimeRange) -> Iterator[_Watched]:
    machine = stored_rows(reader, Memory, when, columns=[MEMORY.level])
    yield _Watched(MEMORY, None, machine, None)
    mount, levels = Filesystem.mount_point, [SPACE.level, INODES.level]
    writable = stored_rows(
        reader, Filesystem, when, where=[Filter(Filesystem.read_only, "=", 0)], columns=[*levels, mount]
    )
    for name, rows in grouped_by(writable, getter(mount)).items():
        yield _Watched(SPACE, str(name), rows, None)
        yield _Watched(INODES, str(name), rows, None)
    yield from _up_to(reader, when, GROUP_MEMORY, (Cgroup.cgroup,))
    yield from _up_to(reader, when, TASKS, (Cgroup.cgroup,))
    many = [Filter(DESCRIPTORS.level, ">=", _LEAST_FILES)]
    yield from _up_to(reader, when, DESCRIPTORS, (Process.comm, Process.pid), many)


def _up_to(
    reader: Reader,
    when: TimeRange,
    resource: Exhaustible[E],
    names: tuple[Field[E, Any], ...],
    where: Sequence[Filter[E]] = (),
) -> Iterator[_Watched]:
    """Entities of a kind, each with a level and its limit, as far as there is one.

    Args:
        reader: of the store.
        when: the time to be read.
        resource: what is limited.
        names: the columns that tell a person which entity it is.
        where: which of them.
    """
    level, whole = resource.level, resource.whole
    limited = [*where, Filter(whole, ">", 0)]
    struct: type[E] = level.__objclass__
    entity = entity_of(kind_of(struct))
    rows = stored_rows(reader, struct, when, where=limited, columns=[level, whole, *entity, *names])
    for its in grouped_by(rows, row_getter(*entity)).values():
        owner = " ".join(map(str, row_getter(*names)(its[-1])))
        yield _Watched(resource, owner, its, float(getter(whole)(its[-1]) or 0))


def told(forecast: Forecast) -> str:
    """A forecast as a sentence."""
    whose = f" of {forecast.owner}" if forecast.owner else ""
    seen_s = _time(forecast.seen_s or 0)
    later = "or never" if forecast.latest_s is None else f"and {_time(forecast.latest_s)}"
    return (
        f"{(forecast.resource or '').replace('_', ' ')}{whose}: used up in {_time(forecast.seconds_left or 0)}"
        f" (between {_time(forecast.soonest_s or 0)} {later}) if it goes on as in the last {seen_s}"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
