"""Which processes are our own parts: what they do, and what others wait for because of them, is no finding.

Here is the only place that tells: a window leaves their rows out (:meth:`kernelsight.diagnosis.window.Window.rows`), so
that no mechanism can take one of them for a victim, a link of a path or a culprit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Event, Kind
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait

E = TypeVar("E", bound=Event)

REPORTS_BACK_NS = 60_000_000_000
"""How long before a window reports are read that name our pids: there is one of each collector every 10 s."""
_PROGRAM = "kernelsight"
_SUBJECTS = ("pid", "waker_pid", "holder_pid", "peer_pid", "server_pid")
"""Columns that say whom a row is about: who does it, who ends the wait, who has what is waited for, who is at the other
end."""
_ALL_ABOUT_OTHERS = frozenset({"collector", "oom_kill"})
"""Kinds whose rows are kept: our own reports, and kills, which are the kernel's and end one of us like any other."""


def own_pids(reports: Sequence[CollectorReport], samples: Iterable[Process], waits: Iterable[Wait]) -> frozenset[int]:
    """Pids of our own parts.

    Args:
        reports: rows of the kind `collector`, which name the processes that collect and who supervises them.
        samples: rows of the kind `process`.
        waits: rows of the kind `wait`: who reads what the collectors write is woken by them.
    """
    known = {(row.pid, row.ppid, row.comm) for row in samples}
    collecting = {row.pid for row in reports} - {None}
    supervisors = {row.supervisor_pid for row in reports} - {None}
    parents = {parent for pid, parent, _ in known if pid in collecting} - {None, 0, 1}
    reading = {row.pid for row in waits if row.waker_pid in collecting and row.waits_in == "read"}
    # A daemon that another program feeds has our name and the same parent.
    beside = {pid for pid, parent, comm in known if comm == _PROGRAM and parent in parents}
    own = collecting | supervisors | reading | beside
    own |= _descendants(((pid, parent) for pid, parent, _ in known), collecting | supervisors)
    return frozenset(pid for pid in own if pid is not None)


def _descendants(known: Iterable[tuple[int | None, int | None]], roots: set[int | None]) -> set[int | None]:
    """Who descends from some processes, by pairs of a pid and its parent's."""
    children: dict[int | None, set[int | None]] = {}
    for pid, parent in known:
        children.setdefault(parent, set()).add(pid)
    found: set[int | None] = set()
    to_visit = [*roots]
    while to_visit:
        new = children.get(to_visit.pop(), set()) - found - roots
        found |= new
        to_visit += new
    return found


def of_others(kind: Kind, rows: list[E], own: frozenset[int]) -> list[E]:
    """The rows of a kind without those that are about one of us, or about a wait that one of us ends."""
    if not own or kind.name in _ALL_ABOUT_OTHERS:
        return rows
    for column in _SUBJECTS:
        if column in kind.by_name:
            subject = attrgetter(column)
            rows = [row for row in rows if subject(row) not in own]
    return rows
