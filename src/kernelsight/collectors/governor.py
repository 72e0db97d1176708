"""Keeps what collecting costs under a ceiling: the dearest collectors sample fewer seconds.

What counts is the CPU time of the whole process, averaged over a minute, so that a burst is recorded in full. Above
the ceiling, the collector that costs most is thinned by a step, then again whichever costs most, until what is
expected is :data:`AIM` of the ceiling. Below it, one step at a time is taken back where that leaves room
(:data:`ROOM`), so that what was thinned does not come and go.

A thinned collector of levels and counters is read more seldom: its rates are still true, over a longer time. One whose
rows are sums over the second before them is read twice, a second apart, and only the second reading is kept: its rows
still are of one second, and nothing is known of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, Protocol

NS_PER_S = 1_000_000_000
WINDOW_NS = 60 * NS_PER_S
"""The average is over so long; before so much has passed, nothing is thinned."""
STEPS = (1, 2, 5, 10, 20, 30)
"""One grid point in so many is sampled; a window of a minute has two samples at least."""
LAST_STEP = 60
"""Only where all else is not enough: a window of a minute may have a single sample then, and know nothing of it."""
STEPS_OF_SUMS = (1, 5, 10, 20, 30)
"""As above, where each sample takes two readings."""
AIM = 0.95
"""Of the ceiling: what is thinned for, as the next minute is not quite like the last."""
ROOM = 0.85
"""Of the ceiling: what is expected after a step back must be below it."""
LEAST = 0.03
"""Of the ceiling: what costs less than this is not thinned, as it would gain nothing."""
RELUCTANCE = 0.25
"""Of its cost, what counts of a collector of sums: thinned, it loses most of what it says, and a collector of counters
hardly anything."""
_REST_NS = 15 * NS_PER_S
"""Between two steps back."""
_WEIGHT = 0.2
"""Of the newest reading in what a reading costs; some collectors do most of their work every ten seconds."""

Due = Literal["sample", "prepare", "nothing"]


class Pace:
    """How often one collector is read, and what that costs."""

    def __init__(self, *, sums: bool) -> None:
        """Say whether rows of its kinds are sums over the second before them."""
        self.sums = sums
        self.every = 1
        """One grid point in so many is sampled."""
        self.cost_ns = 0.0
        """CPU time of one reading and of what was drained before it."""
        self._cpu_ns = 0

    def due(self, point: int) -> Due:
        """What to do at a grid point, by its number."""
        at = point % self.every
        if at == 0:
            return "sample"
        return "prepare" if self.sums and at == self.every - 1 else "nothing"

    def note(self, cpu_ns: int) -> int:
        """Learn what a reading has cost, from the CPU time of all readings; return what has been added to it."""
        spent, self._cpu_ns = cpu_ns - self._cpu_ns, cpu_ns
        self.cost_ns += (spent - self.cost_ns) * (_WEIGHT if self.cost_ns else 1.0)
        return spent

    def expected_ns(self, every: int) -> float:
        """CPU time for each grid point if one in so many is sampled."""
        return self.cost_ns * (2 if self.sums and every > 1 else 1) / every

    @property
    def rarer(self) -> int | None:
        """The next step; None after the last."""
        return next((every for every in self._steps if every > self.every), None)

    @property
    def denser(self) -> int | None:
        """The step before; None where nothing is thinned."""
        return next((every for every in reversed(self._steps) if every < self.every), None)

    @property
    def _steps(self) -> Sequence[int]:
        return STEPS_OF_SUMS if self.sums else STEPS


class Paced(Protocol):
    """A collector and its account."""

    pace: Pace
    cpu_ns: int


class Governor:
    """Thins collectors while they cost more than they may."""

    def __init__(self, ceiling: float, interval_ns: int, window_ns: int = WINDOW_NS) -> None:
        """Say what they may cost.

        Args:
            ceiling: share of one CPU, on average over the window.
            interval_ns: between two grid points.
            window_ns: the window.
        """
        self.ceiling = ceiling
        self.used = 0.0
        """Share of one CPU that was used in the window."""
        self.falls_short = False
        """Whether more is used than may be, and nothing can be thinned any further."""
        self._interval_ns = interval_ns
        self._window_ns = window_ns
        self._readings: deque[tuple[int, int]] = deque()
        self._others_ns = 0.0
        """CPU time for each grid point that no collector's readings account for: threads aside, and the runner."""
        self._relax_at = 0

    def look(self, moment: int, process_cpu_ns: int, sources: Sequence[Paced], read: Sequence[Paced]) -> None:
        """Decide about the next grid points.

        Args:
            moment: CLOCK_MONOTONIC (ns) after a grid point.
            process_cpu_ns: CPU time of the process so far.
            sources: all collectors.
            read: those that were read at this grid point.
        """
        if self._readings:
            before = self._readings[-1][1]
            spent = process_cpu_ns - before - sum(source.pace.note(source.cpu_ns) for source in read)
            self._others_ns += (spent - self._others_ns) * _WEIGHT
        self._readings.append((moment, process_cpu_ns))
        while len(self._readings) > 1 and moment - self._readings[1][0] >= self._window_ns:
            self._readings.popleft()
        first, cpu_then = self._readings[0]
        if moment - first < self._window_ns:
            return
        self.used = (process_cpu_ns - cpu_then) / (moment - first)
        if self.used > self.ceiling:
            self._thin([source.pace for source in sources])
            self._relax_at = moment + _REST_NS
        elif moment >= self._relax_at:
            self.falls_short = False
            self._relax([source.pace for source in sources])
            self._relax_at = moment + _REST_NS

    def _expected(self, paces: Sequence[Pace]) -> float:
        """Share of one CPU."""
        spent = max(self._others_ns, 0.0) + sum(pace.expected_ns(pace.every) for pace in paces)
        return spent / self._interval_ns

    def _thin(self, paces: Sequence[Pace]) -> None:
        least_ns = LEAST * self.ceiling * self._interval_ns
        while self._expected(paces) > AIM * self.ceiling:
            costly = [pace for pace in paces if pace.expected_ns(pace.every) >= least_ns]
            open_to = [pace for pace in costly if pace.rarer] or [pace for pace in costly if pace.every < LAST_STEP]
            dearest = max(open_to, key=_worth_thinning, default=None)
            if dearest is None:
                self.falls_short = True
                return
            dearest.every = dearest.rarer or LAST_STEP
        self.falls_short = False

    def _relax(self, paces: Sequence[Pace]) -> None:
        thinned = [
            (pace.expected_ns(pace.denser) - pace.expected_ns(pace.every), pace) for pace in paces if pace.denser
        ]
        if not thinned:
            return
        more_ns, cheapest = min(thinned, key=lambda step: step[0])
        if self._expected(paces) + more_ns / self._interval_ns <= ROOM * self.ceiling:
            cheapest.every = cheapest.denser or cheapest.every

    def sentence(self, pace: Pace) -> str:
        """What was done to a collector and why; empty where nothing was."""
        if pace.every == 1:
            return ""
        much = f"collecting used {self.used:.1%} of a CPU in the last minute and may use {self.ceiling:.1%}"
        more = "; no more can be thinned" if self.falls_short else ""
        return f"samples one second in {pace.every}: {much}{more} (--max-cpu)"


def _worth_thinning(pace: Pace) -> float:
    expected_ns = pace.expected_ns(pace.every)
    return expected_ns * RELUCTANCE if pace.sums else expected_ns
