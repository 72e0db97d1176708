"""Which processes get a row: those that moved, the largest, and now and then every other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

LARGEST = 10
"""So many processes have a row every time, whether they moved or not."""

EVERY_NS = 60_000_000_000
"""Every process has a row at least this often, so that a window of a minute knows of all."""

MOST_DUE = 200
"""Rows at once of those that did nothing and are due by time alone, the longest due first: of 20,000 processes that are
looked at seldom, all would be due, and the budget of rows would leave out nearly all that was read of them."""


class Selection(Generic[Key]):
    """Chooses from all processes of one moment; every source of the `process` events uses it.

    A key names one process and none after it (pid and start time). What a process has used goes in as
    a fingerprint, anything that differs when one of its values differs.
    """

    def __init__(self, *, largest: int = LARGEST, every_ns: int = EVERY_NS) -> None:
        self._largest = largest
        self._every_ns = every_ns
        self._last: dict[Key, tuple[object, int]] = {}

    def choose(self, now: int, processes: Mapping[Key, tuple[object, int]]) -> list[Key]:
        """The processes to report.

        Args:
            now: the moment on the monotonic clock (ns).
            processes: by key, each with its fingerprint and its size (resident memory, in any unit).
        """
        large = set(nlargest(self._largest, processes, key=lambda key: processes[key][1]))
        before, self._last = self._last, {}
        chosen: list[Key] = []
        due: list[tuple[int, Key]] = []
        for key, (fingerprint, _) in processes.items():
            known = before.get(key)
            if known is None:
                # As if reported at some time within the last period: rows of idle ones then spread over it.
                reported = now - hash(key) % self._every_ns
            elif known[0] == fingerprint and key not in large:
                self._last[key] = known
                if now - known[1] >= self._every_ns:
                    due.append((known[1], key))
                continue
            else:
                reported = now
            self._last[key] = (fingerprint, reported)
            chosen.append(key)
        for _, key in nsmallest(MOST_DUE, due, key=itemgetter(0)):
            self._last[key] = (self._last[key][0], now)
            chosen.append(key)
        return chosen
