"""What the daemon says on its log, without flooding it: a few in full, then a count now and then."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TextIO

_IN_FULL = 5
_PERIOD_S = 10.0
_WARN_AGAIN_S = 60.0
_LONGEST_QUOTE = 200
_REMEMBERED = 10


class Log:
    """Messages for a person, one a line. What cannot be written is lost, and never stops the daemon."""

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream = stream
        self._verbose = verbose
        self._period_began = time.monotonic()
        self._in_full = 0
        self._warn_at = 0.0
        self._not_said: Counter[str] = Counter()
        self.last_reasons: deque[str] = deque(maxlen=_REMEMBERED)
        """The latest refusals, for the status."""

    def say(self, message: str) -> None:
        """Write one message."""
        try:
            self._stream.write(f"{message}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # a closed or full log is no reason to lose events

    def warn(self, message: str) -> None:
        """Write a message about something that lasts: at once, and again after :data:`_WARN_AGAIN_S`."""
        now = time.monotonic()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_AGAIN_S
            self.say(message)

    def end(self) -> None:
        """Leave nothing behind that cannot be written: Python would try once more at exit, and end with status 120."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def debug(self, message: str) -> None:
        """Write one message, if asked to be verbose."""
        if self._verbose:
            self.say(message)

    def refused(self, kind: str, reason: str, raw: bytes) -> None:
        """Tell of a line or row that is not stored."""
        self.last_reasons.append(f"{kind}: {reason}")
        self.summarise()
        if not self._verbose and self._in_full >= _IN_FULL:
            self._not_said[reason.split(":", 1)[0]] += 1
            return
        self._in_full += 1
        # repr: a line is foreign text and must not reach a terminal as it is.
        quote = ascii(raw[:_LONGEST_QUOTE])[1:] + ("..." if len(raw) > _LONGEST_QUOTE else "")
        self.say(f"refused ({kind}): {reason}: {quote}")

    def more_refused(self, count: int) -> None:
        """Count refusals that were not even kept."""
        if count:
            self._not_said["not shown"] += count

    def summarise(self, *, final: bool = False) -> None:
        """Say how many refusals were not told, once a period."""
        now = time.monotonic()
        if not final and now - self._period_began < _PERIOD_S:
            return
        if self._not_said:
            told = ", ".join(f"{count:,} x {reason}" for reason, count in self._not_said.most_common(5))
            self.say(f"refused also in the last {now - self._period_began:.0f} s: {told}")
        self._not_said.clear()
        self._period_began = now
        self._in_full = 0
