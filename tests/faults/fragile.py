"""A file system below SQLite that fails on purpose, at a write that is chosen beforehand.

``power_loss``: what was written and not synced is lost, each write by chance, and the process is killed.
``kill``: the process is killed by SIGKILL. ``full``: writes fail with "disk full", a number of times; then there is
room again.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import apsw

Fault = Literal["power_loss", "kill", "full"]


@dataclass
class Plan:
    """What fails, and when."""

    fault: Fault
    at: int
    """At which of the writes, syncs and truncations that SQLite asks for."""
    seed: int = 0
    times: int = 1
    """How many writes in a row fail, where the disk is full."""


class _Unsynced:
    """What was done to one file since it was synced last."""

    def __init__(self) -> None:
        self.size: int | None = None
        self.before: list[tuple[int, bytes]] = []
        self.done: list[tuple[int, bytes | None]] = []
        """Offset and bytes of a write; a size and None of a truncation."""


class Fragile(apsw.VFS):
    """The default file system of this process from now on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count = 0
        self.lock = threading.RLock()
        self.unsynced: dict[str, _Unsynced] = defaultdict(_Unsynced)
        self.files: dict[str, FragileFile] = {}
        super().__init__("fragile", "", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FragileFile:  # noqa: N802 - as apsw calls it
        return FragileFile(self, name, flags)

    def count_one(self) -> None:
        """One more thing that may be the one that fails."""
        self.count += 1
        if self.count < self.plan.at:
            return
        if self.plan.fault == "full":
            if self.count < self.plan.at + self.plan.times:
                raise apsw.FullError
            return
        if self.plan.fault == "power_loss":
            self.lose()
        os.kill(os.getpid(), signal.SIGKILL)

    def lose(self) -> None:
        """Bring each file back to what was synced, with some of the later writes, as they would be on the disk."""
        chance = random.Random(self.plan.seed)
        for name, unsynced in self.unsynced.items():
            if unsynced.size is None:
                continue
            fd = os.open(name, os.O_RDWR)
            for offset, old in reversed(unsynced.before):
                os.pwrite(fd, old, offset)
            os.ftruncate(fd, unsynced.size)
            keeps = chance.choice((0.0, 0.5, 0.9))
            for place, data in unsynced.done:
                if chance.random() >= keeps:
                    continue
                if data is None:
                    os.ftruncate(fd, place)
                else:
                    os.pwrite(fd, data, place)
            os.close(fd)


class FragileFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, system: Fragile, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.system = system
        given = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.name = str(Path(given).absolute()) if given else None
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - as apsw calls it
        with self.system.lock:
            if self.name:
                self.system.count_one()
                unsynced = self._begun()
                there = max(0, min(len(data), self.xFileSize() - offset))
                if there:
                    unsynced.before.append((offset, self.xRead(there, offset)))
                unsynced.done.append((offset, bytes(data)))
            super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802 - as apsw calls it
        with self.system.lock:
            if self.name:
                self.system.count_one()
                unsynced = self._begun()
                beyond = self.xFileSize() - size
                if beyond > 0:
                    unsynced.before.append((size, self.xRead(beyond, size)))
                unsynced.done.append((size, None))
            super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 - as apsw calls it
        with self.system.lock:
            if self.name:
                self.system.count_one()
            super().xSync(flags)
            if self.name:
                self.system.unsynced.pop(self.name, None)

    def _begun(self) -> _Unsynced:
        unsynced = self.system.unsynced[self.name or ""]
        if unsynced.size is None:
            unsynced.size = self.xFileSize()
        return unsynced
