"""How many lines of each kind one run has printed, said in its reports: who reads them can count what it missed.

A number in every line would cost every line; one in the reports costs nothing and says the same ten seconds later.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from kernelsight.events.declare import Event, kind_of
from kernelsight.events.wire import encode_lines


class Numbering:
    """The lines of one run of the collectors."""

    def __init__(self) -> None:
        self.run = time.time_ns()
        """When the run began (ns since the epoch), which tells it from others."""
        self._printed: Counter[type[Event]] = Counter()
        self._reported: set[str] = set()

    def encode(self, events: Iterable[Event]) -> bytes:
        """Encode events that are printed next, and count them."""
        batch = events if isinstance(events, list) else list(events)
        if not batch:
            return b""
        lines = encode_lines(batch)
        self._printed.update(map(type, batch))
        return lines

    def printed(self, kinds: str) -> str:
        """The column `printed` of a report: lines so far of its kinds, and of those that no collector yields.

        Args:
            kinds: kinds of the collector that is reported, separated by ','.
        """
        names = kinds.split(",")
        self._reported.update(names)
        printed = {kind_of(struct).name: count for struct, count in self._printed.items()}
        ours = sorted(printed.keys() - self._reported)
        return ",".join(f"{name}={printed.get(name, 0)}" for name in (*names, *ours))
