"""Who holds what limits of each user count: inotify instances and watches, from /proc/PID/fd and fdinfo (inotify(7)).

The kernel counts them for each user and shows the sums nowhere, so they are added up here. A descriptor that a
process has inherited is seen in both, and counts twice; so does a watch of it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import nlargest

from kernelsight.collectors.background_reads import BackgroundReads
from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.files import comm_of, read_once
from kernelsight.collectors.privileges import OTHERS_PROCESSES, limits_on_others
from kernelsight.collectors.text import number
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import Event
from kernelsight.events.limit import Limit, LimitHolder

INSTANCES, WATCHES = "fs.inotify.max_user_instances", "fs.inotify.max_user_watches"
_LINKS = frozenset({"anon_inode:inotify", "anon_inode:[inotify]", "inotify"})
_WATCH = b"inotify wd:"
_AT_ONCE = 1 << 16
_EVERY_S = 10.0
_SHARE = 0.005
"""Of a CPU that looks may use, however many descriptors there are."""
_SHARE_OF_CEILING = 0.2
"""Of what all collectors together may use (`--max-cpu`), where that is less."""
_IN_FULL_EVERY_S = 60.0
"""How often each descriptor of every process is looked at; in between, of processes that had no inotify instance,
only of those that have another number of descriptors since. That number costs a sixth of a look at each of them."""
_PATIENCE_S = 0.05
"""How long the other collectors may be kept waiting for a look; one takes 2 us for each descriptor of the machine."""
_MOST = 32
"""Holders of each limit that have a row, those that hold most."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds."""

    pid: int
    uid: int
    instances: int
    watches: int


@collector(name="limit_holders", source="procfs", emits=(LimitHolder, Limit), needs=OTHERS_PROCESSES)
class LimitHoldersCollector:
    """Inotify instances and watches of every process, and of every user against its limit, every 10 s or less often."""

    def __init__(self, host: Host) -> None:
        self._proc = host.proc
        self._limits = {name: host.proc / "sys" / name.replace(".", "/") for name in (INSTANCES, WATCHES)}
        missing = [str(path) for path in self._limits.values() if not path.exists()]
        if missing:
            raise SourceUnavailableError(f"no {missing[0]}: this kernel has no inotify")
        self.limitations = limits_on_others("inotify instances and watches", host.proc)
        self._aside = BackgroundReads(self._look)
        share = _SHARE if host.max_cpu is None else min(_SHARE, _SHARE_OF_CEILING * host.max_cpu)
        self._rest = 1 / share - 1
        """Pause after a look, in times of what it took."""
        self._rests_until = 0.0
        self._without: dict[str, int] = {}
        """Processes that had no inotify instance, by their directories, and how many descriptors they had."""
        self._in_full_at = 0.0
        self._tells_count = self._count_descriptors("self") > 0

    def collect(self, now: int) -> list[Event]:
        """What was seen since the last time; a look that takes long is handed out when it is there."""
        if not self._aside.is_busy and time.monotonic() >= self._rests_until:
            self._aside.ask(now)
        done = self._aside.answer(_PATIENCE_S)
        if done is None:
            return []
        self._rests_until = time.monotonic() + max(_EVERY_S - done.seconds, self._rest * done.seconds)
        if done.error is not None:
            raise done.error
        return list(self._events(done.answer or [], done.question))

    def close(self) -> None:
        """Ask for no more."""
        self._aside.close()

    def _look(self, _: int) -> list[Held]:
        before, self._without = self._without, {}
        if time.monotonic() >= self._in_full_at:
            self._in_full_at = time.monotonic() + _IN_FULL_EVERY_S
            before = {}
        all_held: list[Held] = []
        for name in os.listdir(self._proc):  # noqa: PTH208 - names are enough
            if not "0" < name[0] <= "9":
                continue
            count = self._count_descriptors(name)
            held = [] if self._tells_count and before.get(name) == count else list(self._of(name))
            all_held += held
            if not held:
                self._without[name] = count
        return all_held

    def _count_descriptors(self, name: str) -> int:
        """How many a process has; 0 where the kernel does not say it (before Linux 6.2), or the process has ended."""
        try:
            return os.stat(f"{self._proc}/{name}/fd").st_size  # noqa: PTH116 - a Path costs as much as the call
        except OSError:
            return 0

    def _of(self, name: str) -> Iterator[Held]:
        """What a process holds; nothing where it holds none, has ended, or may not be looked into."""
        folder = f"{self._proc}/{name}"
        instances = watches = 0
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for descriptor in os.listdir(f"{folder}/fd"):  # noqa: PTH208 - a Path costs as much as the call
                with suppress(FileNotFoundError):  # closed meanwhile
                    if os.readlink(f"{folder}/fd/{descriptor}") in _LINKS:  # noqa: PTH115 - as above
                        instances += 1
                        watches += watches_in(f"{folder}/fdinfo/{descriptor}")
        if instances:
            uid = real_user(read_once(f"{folder}/status") or b"")
            if uid is not None:
                yield Held(int(name), uid, instances, watches)

    def _events(self, held: Iterable[Held], now: int) -> Iterator[Event]:
        held = list(held)
        for name, amounts in (
            (INSTANCES, {holder: holder.instances for holder in held}),
            (WATCHES, {holder: holder.watches for holder in held}),
        ):
            maximum = number(read_once(self._limits[name]))
            users: Counter[int] = Counter()
            for holder, amount in amounts.items():
                users[holder.uid] += amount
            yield from (Limit(now, name, uid, used, maximum) for uid, used in sorted(users.items()))
            largest = nlargest(_MOST, (holder for holder in held if amounts[holder]), key=amounts.__getitem__)
            for holder in largest:
                yield LimitHolder(now, name, holder.pid, comm_of(self._proc, holder.pid), holder.uid, amounts[holder])


def watches_in(fdinfo: str) -> int:
    """The watches of an inotify instance: a line each, of which a user may have a million, so no more is kept of them.

    0 where it is closed by now, or may not be read.
    """
    watches, rest = 0, b""
    with suppress(OSError), open(fdinfo, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs as much as the call
        while data := file.read(_AT_ONCE):
            text = rest + data
            watches += text.count(_WATCH)
            rest = text[-len(_WATCH) + 1 :]
    return watches


def real_user(status: bytes) -> int | None:
    """The real user of a process, whom its objects count for, from its `status`; None where it is not told."""
    _, label, rest = status.partition(b"\nUid:")
    words = rest.split(None, 1)
    return number(words[0]) if label and words else None
