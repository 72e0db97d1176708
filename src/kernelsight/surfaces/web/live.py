"""What is new, once a second, to all who watch: read once, however many they are (server-sent events)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kernelsight.errors import KernelSightError, UsageError
from kernelsight.query.readings import STEPS_NS, readings
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader
from kernelsight.surfaces.mcp.answers import Answers
from kernelsight.surfaces.web.chart import Chart, charts
from kernelsight.surfaces.web.course import Course, drawn
from kernelsight.surfaces.web.desk import Desk

_SECOND = 1_000_000_000
_FIRST_NS = 10 * _SECOND
"""How much of the past the first look takes, so that rates are known."""
_OVERLAP_NS = 2 * _SECOND
"""Rows of one second may be committed by and by."""
VIEWERS = 32
_WAITING = 4
"""Messages that may wait for a viewer; who does not take them misses some."""


class News(msgspec.Struct, kw_only=True):
    """New values of one chart."""

    name: str
    times_ms: list[float]
    labels: list[str]
    values: list[list[float | None]]


class Tick(msgspec.Struct, kw_only=True):
    """What has come since the last second."""

    now_ms: float
    news: list[News]
    problem: str = ""


class _Follower:
    """Calculates the new points of one chart."""

    def __init__(self, chart: Chart[Any]) -> None:
        self.chart = chart
        self._course = Course(chart, STEPS_NS[0])
        self._seen_ns = 0

    def look(self, reader: Reader, now_ns: int) -> News | None:
        since_ns = now_ns - _FIRST_NS if not self._seen_ns else self._seen_ns - _OVERLAP_NS
        when = TimeRange(min(since_ns, now_ns), now_ns)
        rows = readings(reader, self.chart.struct, self._course.columns, when, STEPS_NS[0], only=self.chart.only)
        points = self._course.take(rows)
        if not points:
            return None
        self._seen_ns = max(point.timestamp for point in points)
        told = drawn(self.chart, points)
        return News(name=self.chart.name, times_ms=told.times_ms, labels=told.labels, values=told.values)


@dataclass(eq=False, slots=True)
class _Viewer:
    names: frozenset[str]
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(_WAITING))


class Live:
    """The viewers of one store."""

    def __init__(self, desk: Desk, answers: Answers) -> None:
        self._desk = desk
        self._answers = answers
        self._viewers: set[_Viewer] = set()
        self._followers: dict[str, _Follower] = {}
        self._task: asyncio.Task[None] | None = None
        self.ends = False
        """Set when the server ends: then all streams do."""

    async def stream(self, names: Iterable[str]) -> AsyncIterator[bytes]:
        """What a viewer of some charts is told, until the viewer or the server goes away.

        Raises:
            UsageError: there is no such chart, or there are too many viewers.
        """
        viewer = _Viewer(frozenset(names))
        offered = {name for name, one in charts().items() if one.of is None}
        if unknown := viewer.names - offered:
            raise UsageError(f"there is no chart {min(unknown)!r} of the whole machine")
        if len(self._viewers) >= VIEWERS:
            raise UsageError(f"{VIEWERS} viewers are live already; close one of them")
        return self._told(viewer)

    async def _told(self, viewer: _Viewer) -> AsyncIterator[bytes]:
        self._viewers.add(viewer)  # here: of a stream that nobody begins to read, the end is not heard of
        try:
            yield b": live\n\n"
            while not self.ends:
                if self._task is None:
                    self._task = asyncio.create_task(self._tell())
                with suppress(TimeoutError):
                    yield await asyncio.wait_for(viewer.queue.get(), 1.0)
        finally:
            self._viewers.discard(viewer)

    async def _tell(self) -> None:
        """Look once a second, a little after the grid on which samples are taken, as long as anybody watches."""
        try:
            await self._look_on()
        finally:  # after an error, who still watches begins it again
            self._followers.clear()
            self._task = None

    async def _look_on(self) -> None:
        while self._viewers and not self.ends:
            await asyncio.sleep(1.0 - (time.time() - 0.4) % 1.0)
            wanted = frozenset(name for viewer in self._viewers for name in viewer.names)
            now_ns, news, problem = time.time_ns(), [], ""
            try:
                news = await self._answers.answer(lambda: self._look(wanted, now_ns))  # noqa: B023 - awaited at once
            except KernelSightError as error:
                problem = str(error)
            for viewer in tuple(self._viewers):
                told = Tick(
                    now_ms=now_ns / 1e6, news=[one for one in news if one.name in viewer.names], problem=problem
                )
                with suppress(asyncio.QueueFull):
                    viewer.queue.put_nowait(b"data: " + msgspec.json.encode(told) + b"\n\n")

    def _look(self, wanted: frozenset[str], now_ns: int) -> list[News]:
        for name in self._followers.keys() - wanted:
            del self._followers[name]
        with self._desk.reader() as reader:
            found = [self._follower(name).look(reader, now_ns) for name in sorted(wanted)]
        return [news for news in found if news is not None]

    def _follower(self, name: str) -> _Follower:
        if name not in self._followers:
            self._followers[name] = _Follower(charts()[name])
        return self._followers[name]
