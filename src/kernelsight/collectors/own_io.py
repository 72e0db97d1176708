"""What a process read and wrote itself, apart from what its children did.

The kernel keeps one account of I/O for the ended threads of a process. When the process waits for a child that has
ended, the kernel adds the child's account to it (``wait_task_zombie``, kernel/exit.c). /proc/PID/io is the sum of this
account and of the living threads, so a shell seems to have written once more what its commands wrote. CPU time, faults
and switches have an account of their own for children, and the delays of taskstats do not pass to parents.

The account of ended threads grows by threads or by children. Other counters tell which: a child that was waited for
adds switches or faults to the children's accounts, a thread that ended adds run time. Where both happened between two
looks, the children's part is what they had when last seen.
"""

from __future__ import annotations

from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import add, sub
from typing import Generic, NamedTuple, TypeVar

from kernelsight.collectors.procfs.process_text import Io

Key = TypeVar("Key", bound=Hashable)

_MOST_PARENTS = 10_000


class Account(NamedTuple):
    """What the kernel says of one process's I/O."""

    live: tuple[int, ...]
    """Of the threads that live, in the order of :class:`Io`."""
    ended: tuple[int, ...]
    """Of threads that have ended and of children that were waited for, together."""
    threads: int
    """A number that changes when a thread has ended; 0: none has."""
    children: int
    """A number that changes when a child was waited for; 0: none was."""


class Shares(NamedTuple):
    """What is whose."""

    own: Io
    children_read_bytes: int
    """By children that have ended and whose own rows do not tell of it."""
    children_write_bytes: int


@dataclass(slots=True)
class _Known:
    """One process at its last row."""

    pid: int
    ppid: int | None
    account: Account
    own: tuple[int, ...]
    of_children: tuple[int, ...]
    shares: Shares


class OwnIo(Generic[Key]):
    """Divides the accounts of all processes, from one look to the next.

    A key names one process and none after it.
    """

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}
        self._gone: dict[int, tuple[int, ...]] = {}
        """By parent, what children that have ended had at their last rows."""

    def look(self, present: AbstractSet[Key]) -> None:
        """Begin a look at all processes.

        Args:
            present: the keys of those there are.
        """
        if len(self._gone) > _MOST_PARENTS:  # of parents that have ended themselves
            self._gone.clear()
        ended = [self._known.pop(key) for key in self._known.keys() - present]
        parents = {known.pid: known.ppid for known in ended}
        for known in ended:
            self._pass_on(known.ppid, _add(known.account.live, known.account.ended))
        # A process that ended has passed its account on to its parent, and with it the shares of its own children.
        for _ in ended:
            waiting = [pid for pid in parents if pid in self._gone]
            if not waiting:
                break
            for pid in waiting:
                self._pass_on(parents[pid], self._gone.pop(pid))

    def _pass_on(self, parent: int | None, told: tuple[int, ...]) -> None:
        if parent is not None:
            before = self._gone.get(parent)
            self._gone[parent] = told if before is None else _add(before, told)

    def divide(self, key: Key, pid: int, ppid: int | None, account: Account) -> Shares:
        """The shares of a process and of its children in its account, for a process that gets a row."""
        last = self._known.get(key)
        told = self._gone.pop(pid, None) if self._gone else None
        if last is None:
            own, of_children = _divide_first(account)
        elif account == last.account:
            last.ppid = ppid
            return last.shares
        elif account.children == last.account.children:  # nothing is theirs
            last.ppid, last.own, shares = ppid, _own_since(last, account), last.shares
            last.account, last.shares = account, Shares(Io._make(last.own), *shares[1:])
            return last.shares
        else:
            lived = _less(account.live, last.account.live)
            ended = _less(account.ended, last.account.ended)
            # The sum over living threads only falls by the share of threads that have ended since.
            fallen = tuple(min(0, value) for value in lived)
            theirs = _of_children(account, last.account, _grown(_add(ended, fallen)), told)
            own = _add(last.own, _grown(_less(_add(lived, ended), theirs)))
            of_children = _add(last.of_children, _grown(theirs if told is None else _less(theirs, told)))
        children = Io._make(of_children)
        shares = Shares(Io._make(own), children.read_bytes or 0, children.write_bytes or 0)
        self._known[key] = _Known(pid, ppid, account, own, of_children, shares)
        return shares


def _divide_first(account: Account) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """At the first look: where threads and children ended, only what lives is known to be its own."""
    nothing = (0,) * len(account.live)
    if account.children == 0:
        return _add(account.live, account.ended), nothing
    return account.live, account.ended if account.threads == 0 else nothing


def _own_since(last: _Known, account: Account) -> tuple[int, ...]:
    """What is a process's own when no child was waited for since its last row: all that its account grew by."""
    before = last.account
    if account.ended == before.ended:  # no thread ended: all of it is of the threads that live
        grown = tuple(map(sub, account.live, before.live))
        if min(grown) >= 0:
            return tuple(map(add, last.own, grown))
    parts = zip(last.own, account.live, account.ended, before.live, before.ended, strict=True)
    return tuple([own + max(0, live + ended - lived - was) for own, live, ended, lived, was in parts])


def _of_children(
    account: Account, before: Account, ended: tuple[int, ...], told: tuple[int, ...] | None
) -> tuple[int, ...]:
    """How much of what the account of ended threads grew by, beyond what threads brought to it, is the children's.

    Some child was waited for since.
    """
    if account.threads == before.threads or told is None:
        return ended
    return tuple(map(min, ended, told))


def _add(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def _less(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(first, second, strict=True))


def _grown(change: tuple[int, ...]) -> tuple[int, ...]:
    """A change of counters, which do not fall."""
    return tuple(max(0, value) for value in change)
