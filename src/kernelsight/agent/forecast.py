"""When what is limited will be used up if it goes on like this, and how uncertain that is.

The slope is the median of the slopes between all pairs of points, its interval follows from the ranks that Kendall's
statistic has by chance (Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968). Points
of a level are not independent, so that the interval is rather too narrow; it says how steady the trend was, not what
the program will do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kernelsight.diagnosis.scene import NS_PER_S, Row, Scene, grouped
from kernelsight.diagnosis.trend import trend
from kernelsight.events.action import Forecast, Resource

HORIZON_S = 6 * 3600.0
"""What lies further ahead will be seen in time."""
FORESIGHT = 30.0
"""How many times as long as it has been seen, a trend is followed: a quarter of an hour ahead from half a minute."""
_Z95 = 1.96
_MOST_POINTS = 60


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth a second, with the ends of its 95 % interval."""

    low: float
    middle: float
    high: float


def slope(points: Sequence[tuple[int, float]]) -> Slope | None:
    """The slope of a level, by Theil and Sen; None for fewer than three points."""
    step = -(-len(points) // _MOST_POINTS)
    some = points[::step]
    slopes = sorted(
        (later - value) * NS_PER_S / (at - time)
        for i, (time, value) in enumerate(some)
        for at, later in some[i + 1 :]
        if at > time
    )
    n, pairs = len(some), len(slopes)
    if n < 3 or not pairs:
        return None
    spread = _Z95 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(math.floor((pairs - spread) / 2), 0)
    high = min(math.ceil((pairs + spread) / 2), pairs - 1)
    middle = (slopes[(pairs - 1) // 2] + slopes[pairs // 2]) / 2
    return Slope(slopes[low], middle, slopes[high])


@dataclass(frozen=True, slots=True)
class _Watched:
    """Something that is limited."""

    resource: Resource
    owner: str | None
    rows: Sequence[Row]
    metric: str
    limit: float
    up: bool


def forecasts(scene: Scene) -> list[Forecast]:
    """What will be used up within the horizon, the soonest first."""
    found = [one for watched in _limited(scene) if (one := _of(watched)) is not None]
    return sorted(found, key=lambda one: one.seconds_left or 0.0)


def _of(watched: _Watched) -> Forecast | None:
    """The forecast of one resource; None while it is in no steady trend, or the end is far."""
    going = trend(watched.rows, watched.metric, up=watched.up)
    if going is None:
        return None
    speed = slope([(row["timestamp"], float(row[watched.metric])) for row in going.rows])
    if speed is None:
        return None
    left = watched.limit - going.last
    fast, slow = (speed.high, speed.low) if watched.up else (speed.low, speed.high)
    seconds = _until(left, speed.middle)
    if seconds is None or seconds > min(HORIZON_S, FORESIGHT * going.seconds):
        return None
    return Forecast(
        int(going.rows[-1]["timestamp"]),
        resource=watched.resource,
        owner=watched.owner,
        level=going.last,
        level_limit=watched.limit,
        per_second=speed.middle,
        seconds_left=seconds,
        soonest_s=_until(left, fast),
        latest_s=_until(left, slow),
        seen_s=going.seconds,
    )


def _until(left: float, per_second: float) -> float | None:
    """Seconds until a limit is met; None if the level does not move towards it."""
    if per_second == 0 or left / per_second < 0:
        return None
    return left / per_second


def _limited(scene: Scene) -> Iterator[_Watched]:
    yield _Watched("memory", None, scene.rows("memory"), "mem_available_kb", 0.0, up=False)
    for rows in grouped(scene.rows("filesystem"), "mount_point").values():
        last = rows[-1]
        if not last["read_only"]:
            yield _Watched("space", str(last["mount_point"]), rows, "avail_bytes", 0.0, up=False)
            yield _Watched("inodes", str(last["mount_point"]), rows, "inodes_free", 0.0, up=False)
    for rows in grouped(scene.rows("cgroup"), "cgroup").values():
        yield from _of_last(rows, "group_memory", "memory_current_bytes", "memory_limit_bytes", "cgroup")
        yield from _of_last(rows, "tasks", "pids_current", "pids_limit", "cgroup")
    for rows in grouped(scene.rows("process"), "pid", "start_ticks").values():
        yield from _of_last(rows, "descriptors", "fds", "fd_limit", "comm", "pid")


def _of_last(rows: Sequence[Row], resource: Resource, metric: str, limit: str, *names: str) -> Iterator[_Watched]:
    last: Row = rows[-1]
    most: Any = last[limit]
    if most:
        yield _Watched(resource, " ".join(str(last[name]) for name in names), rows, metric, float(most), up=True)


def told(one: Forecast) -> str:
    """A forecast as a sentence."""
    whose = f" of {one.owner}" if one.owner else ""
    later = "or never" if one.latest_s is None else f"and {_time(one.latest_s)}"
    return (
        f"{(one.resource or '').replace('_', ' ')}{whose}: used up in {_time(one.seconds_left or 0)}"
        f" (between {_time(one.soonest_s or 0)} {later}) if it goes on as in the last {_time(one.seen_s or 0)}"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
