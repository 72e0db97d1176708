"""Notices on their way: each channel has its own queue, so that one that does not answer holds up no other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kernelsight.surfaces.notify.channel import Channel, ChannelError
from kernelsight.surfaces.notify.notice import Notice

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
MOST_WAITING = 100
"""Notices that wait for one channel; beyond it the oldest are given up, and that is said."""


@dataclass(slots=True)
class _Line:
    channel: Channel
    waiting: deque[Notice] = field(default_factory=deque)
    pause_s: float = 0.0
    next_s: float = 0.0
    given_up: int = 0


class Delivery:
    """Some channels, and what waits for them."""

    def __init__(self, channels: Sequence[Channel], tell: Callable[[str], None]) -> None:
        """Begin with nothing waiting.

        Args:
            channels: where to.
            tell: what a person should know, a sentence each.
        """
        self._lines = [_Line(channel) for channel in channels]
        self._tell = tell

    def add(self, notice: Notice) -> None:
        """Queue a notice for each channel."""
        for line in self._lines:
            line.waiting.append(notice)
            if len(line.waiting) > MOST_WAITING:
                line.waiting.popleft()
                line.given_up += 1

    def send(self, now_s: float) -> None:
        """Send what waits, where a channel that failed is not left alone for the moment.

        Args:
            now_s: on a clock that only goes forward.
        """
        for line in self._lines:
            while line.waiting and now_s >= line.next_s:
                try:
                    line.channel.send(line.waiting[0])
                except ChannelError as error:
                    if not line.pause_s:
                        self._tell(f"{error}; it is tried again")
                    line.pause_s = min(max(FIRST_PAUSE_S, 2 * line.pause_s), LONGEST_PAUSE_S)
                    line.next_s = now_s + line.pause_s
                else:
                    line.waiting.popleft()
                    self._recovered(line)

    def _recovered(self, line: _Line) -> None:
        if line.pause_s:
            lost = f"; {line.given_up} notices were given up meanwhile" if line.given_up else ""
            self._tell(f"{line.channel.name}: takes notices again{lost}")
        line.pause_s, line.given_up = 0.0, 0

    @property
    def waiting(self) -> int:
        """Notices that were not taken yet, of all channels."""
        return sum(len(line.waiting) for line in self._lines)
