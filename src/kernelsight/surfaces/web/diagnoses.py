"""Diagnoses for the pages: one at a time, and each kept for a while for whoever else looks at the same window."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import closing

from kernelsight.diagnosis import Diagnosis, diagnose
from kernelsight.diagnosis.evidence_series import SeriesOfEvidence, series_by_evidence
from kernelsight.errors import UsageError
from kernelsight.memory import give_back
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader

_SECOND = 1_000_000_000
LONGEST_S = 900
"""A diagnosis of a longer window takes longer than somebody waits."""
FRESH_S = 20.0
"""How long the diagnosis of the last minute serves whoever asks for it."""
_SETTLED_NS = 60 * _SECOND
"""Of a window that ended so long ago nothing more arrives."""
_KEPT = 32
_DIAGNOSING = threading.Lock()


class Diagnoses:
    """The diagnoses of one store."""

    def __init__(self, db_path: str) -> None:
        self._db_path = db_path
        self._known: OrderedDict[tuple[int, int], tuple[float, Diagnosis, SeriesOfEvidence]] = OrderedDict()
        self._latest: tuple[float, Diagnosis] | None = None

    def of(self, when: TimeRange) -> tuple[Diagnosis, SeriesOfEvidence]:
        """The diagnosis of a window, with the courses of the numbers that it cites.

        Raises:
            UsageError: the window is longer than :data:`LONGEST_S`.
            StoreError: the store cannot be read.
        """
        if when.length_ns > (LONGEST_S + 1) * _SECOND:
            raise UsageError(f"a diagnosis looks at {LONGEST_S // 60} minutes or less; choose a shorter time")
        key = (when.start_ns, when.end_ns)
        with _DIAGNOSING:
            known = self._known.get(key)
            settled = when.end_ns + _SETTLED_NS < time.time_ns()
            if known is None or not (settled or time.monotonic() < known[0] + FRESH_S):
                known = self._diagnosed(*key)
                self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known[1:]

    def last_minute(self) -> Diagnosis:
        """The diagnosis of the last minute, a little old perhaps.

        Raises:
            StoreError: the store cannot be read.
        """
        with _DIAGNOSING:
            now = time.monotonic()
            if self._latest is None or now >= self._latest[0] + FRESH_S:
                end_ns = time.time_ns()
                self._latest = self._diagnosed(end_ns - 60 * _SECOND, end_ns)[:2]
            return self._latest[1]

    def _diagnosed(self, start_ns: int, end_ns: int) -> tuple[float, Diagnosis, SeriesOfEvidence]:
        """Diagnose a window, by a reader of its own: what it has read is not wanted again."""
        with closing(open_reader(self._db_path)) as reader:
            diagnosis = diagnose(reader, start_ns, end_ns)
            drawn = series_by_evidence(reader, diagnosis)
        give_back()
        return time.monotonic(), diagnosis, drawn
