"""The files that processes run, by /proc/PID/exe: both sources of the `process` events use it.

A link is read when its process is new, when its name changes (execve(2) sets it), and every ten seconds. Between
them nothing is said: a path in each row would be most of what is stored of a process.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.text import name

Key = TypeVar("Key", bound=Hashable)

_EVERY_NS = 10 * NS_PER_S

_LINKS_A_RUN = 500
"""Links that are read in one run, about 2 ms; what is left waits for the next."""

_SPARE = 1_000
"""So many processes that have ended are kept in mind."""


class Executables(Generic[Key]):
    """Says now and then which file a process runs.

    A key names one process and none after it (pid and start time).
    """

    def __init__(self, proc: Path) -> None:
        self._proc = os.fsencode(proc)
        self._known: dict[Key, tuple[str | None, int]] = {}
        """The name that a process had at the last look, and when the next is due (monotonic, ns)."""
        self._left = _LINKS_A_RUN

    def look(self, living: Collection[Key]) -> None:
        """Begin a run over these processes."""
        self._left = _LINKS_A_RUN
        if len(self._known) > 2 * len(living) + _SPARE:
            self._known = {key: self._known[key] for key in living if key in self._known}

    def of(self, key: Key, pid: int, comm: str | None, moment: int) -> str | None:
        """The path of the file that a process runs; None: it was said moments ago, or cannot be told.

        Args:
            key: what tells the process from all others.
            pid: its pid.
            comm: its name.
            moment: now, on the monotonic clock (ns).

        Returns:
            As the kernel writes it (proc_pid_exe(5)): with ` (deleted)` at the end where the file was removed or
            replaced. Any user can make such a name, with any bytes in it but NUL.
        """
        known_as, due = self._known.get(key, (None, 0))
        if (moment < due and known_as == comm) or self._left <= 0:
            return None
        self._left -= 1
        self._known[key] = (comm, moment + _EVERY_NS)
        try:
            return name(os.readlink(b"%b/%d/exe" % (self._proc, pid)))  # noqa: PTH115 - a path of bytes
        except OSError:  # it has ended, is of another user, or its path is longer than a page
            return None
