"""Sleep until there is something to look at: the kernel wakes us when tasks stall, or the telemetry has news.

A trigger of pressure stall information (Documentation/accounting/psi.rst) costs nothing while nothing stalls: the
process sleeps in poll(2), and the kernel watches. What does not stall anybody (descriptors, space) is found by the
timer, and what others have found (anomalies, signals) by asking for the newest row of their tables.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from kernelsight.collectors.base import Host
from kernelsight.errors import StoreError
from kernelsight.events.anomaly import Anomaly
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import name_of
from kernelsight.events.signal import Signal
from kernelsight.query.source import AHEAD_NS
from kernelsight.query.times import parse_time
from kernelsight.stores.base import Reader, open_reader

_TRIGGER = b"some 300000 2000000\0"
"""Tasks stall for 15 % of 2 s. Users without CAP_SYS_RESOURCE may ask for windows of whole 2 s only (Linux 6.5);
the kernel takes the last byte for the end, whatever it is."""
_RESOURCES = ("cpu", "memory", "io")
_NEWS_EVERY_S = 5.0
_STAMP = name_of(Event.timestamp)
NEWS = (kind_of(Anomaly).table, kind_of(Signal).table)
"""Tables in which others write what they noticed; the ones that there are."""


class Wake:
    """Waits for a reason to look."""

    def __init__(self, host: Host, db_path: str, stop_fd: int) -> None:
        """Ask the kernel to tell when tasks stall; where it will not, there are the timer and the news."""
        self._db_path = db_path
        self._stop = stop_fd
        self._poll = select.poll()
        self._poll.register(stop_fd, select.POLLIN)
        self._triggers: dict[int, str] = {}
        self._reader: Reader | None = None
        self._newest: dict[str, int] = {}
        for resource in _RESOURCES:
            with suppress(OSError):
                self._watch(host, resource)
        self._has_news()

    def _watch(self, host: Host, resource: str) -> None:
        fd = os.open(host.proc / "pressure" / resource, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, _TRIGGER)
        except OSError:
            os.close(fd)
            raise
        self._triggers[fd] = resource
        self._poll.register(fd, select.POLLPRI)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for fd in self._triggers:
            os.close(fd)
        if self._reader:
            self._reader.close()

    def wait(self, seconds: float, *, at_least: float = 0.0) -> str:
        """Sleep; returns why it is over: `stop`, `timer`, `pressure on …` or `news in …`.

        Args:
            seconds: at most so long.
            at_least: and no less, unless told to stop.
        """
        began = time.monotonic()
        if at_least and self._told(select.poll(), at_least):
            return "stop"
        while (left := seconds - (time.monotonic() - began)) > 0:
            for fd, _ in self._poll.poll(min(left, _NEWS_EVERY_S) * 1000):
                return "stop" if fd == self._stop else f"pressure on {self._triggers[fd]}"
            if table := self._has_news():
                return f"news in {table}"
        return "timer"

    def _told(self, only: select.poll, seconds: float) -> bool:
        only.register(self._stop, select.POLLIN)
        return bool(only.poll(seconds * 1000))

    def _has_news(self) -> str:
        """A table with a newer row than at the last look; what lies ahead was stamped before the clock was set back."""
        table_with_news = ""
        for table in NEWS:
            newest = self._newest_of(table)
            if newest > self._newest.get(table, newest):
                table_with_news = table
            self._newest[table] = newest
        return table_with_news

    def _newest_of(self, table: str) -> int:
        try:
            if self._reader is None:
                self._reader = open_reader(self._db_path)
            relation, params = self._reader.relation(table, None, parse_time("now") + AHEAD_NS, [_STAMP])
            [(newest,)] = self._reader.tuples(f"SELECT max({_STAMP}) FROM {relation} AS known", params)  # noqa: S608
        except StoreError:  # there is no database yet, or no such table
            return 0
        return newest if isinstance(newest, int) else 0
