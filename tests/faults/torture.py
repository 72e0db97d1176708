#!/usr/bin/env python3
"""Kill and starve a store, again and again, in whatever it does; prints one JSON object.

    python tests/faults/torture.py [--kills 300] [--seconds 3600] [--seed 1]

A round runs the daemon with small segments and, beside it, what makes twins or a backup, or it opens a database of an
older version; then something happens: SIGKILL at a random moment or at a random write, a loss of power that drops
writes that were not synced, or a full disk. After each the store must be whole (:func:`scene.check`).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from fragile import Fault, Fragile, Plan
from scene import ENDINGS, Running, check, in_a_fork

BESIDE = ("twins", "backup")
FAULTS = ("moment", "moment", "kill", "power_loss", "full")
FRESH_AFTER = 8
"""Rounds after which a new store is begun: checks read all of it."""


class Torture:
    """One store after the other, and what was done to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._path = folder / "k.db"
        self._round = 0
        self._rows = 0
        self.done: Counter[str] = Counter()
        self.stored = 0

    def round(self) -> None:
        """One fault, and the check after it."""
        if self._round % FRESH_AFTER == 0:
            for entry in self._folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            self._rows = 0
            self._open()
        self._round += 1
        fault = self._chance.choice(FAULTS)
        beside = self._chance.choice(BESIDE)
        victim = self._chance.choice(("daemon", "daemon", beside)) if fault in {"moment", "kill"} else "daemon"
        what = f"{fault} in {victim} beside {beside}, round {self._round}"
        try:
            self._run(fault, victim, beside)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
        self.done[f"{fault} in {victim}"] += 1

    def _run(self, fault: str, victim: str, beside: str) -> None:
        plans = {victim: self._plan(fault)} if fault != "moment" else {}
        daemon = Running("daemon", self._path, self._rows, _prepare(plans.get("daemon")))
        if "daemon" not in plans:
            daemon.wait_for(1)
        other = Running(beside, self._path, 0, _prepare(plans.get(beside)))
        running = {"daemon": daemon, beside: other}
        if fault == "full":
            daemon.wait_for(12)  # it goes on when there is room again
        elif victim in plans:
            self._until_it_dies(running[victim])
        else:
            daemon.wait_for(self._chance.randrange(2, 14))
            time.sleep(self._chance.uniform(0.0, 0.03))
            running[victim].kill()
        if victim != "daemon":
            daemon.wait_for(daemon.reports + 2)  # it goes on without the other
        may_lose = fault == "power_loss"
        daemon.kill()
        # A loss of power ends all processes at once; one that reads on sees a file that no machine ever shows it.
        other.kill(ENDINGS | {1} if may_lose else ENDINGS)
        reported = daemon.reported
        before = self._rows
        self._rows = in_a_fork(lambda: check(self._path, before if may_lose else reported, may_lose=may_lose))
        self.stored += self._rows - before

    def _open(self) -> None:
        """Make a new store, killed at some of the writes of that."""
        for at in (self._chance.randrange(1, 40), self._chance.randrange(1, 400)):
            fault: Fault = self._chance.choice(("kill", "power_loss"))
            Running("open", self._path, 0, _prepare(Plan(fault, at, self._chance.randrange(2**32)))).join()
            self.done[f"{fault} in open"] += 1
        assert Running("open", self._path).join() == 0

    def _plan(self, fault: str) -> Plan:
        kind: Fault = "full" if fault == "full" else "power_loss" if fault == "power_loss" else "kill"
        at = int(self._chance.expovariate(1 / 150)) + 1
        return Plan(kind, at, self._chance.randrange(2**32), times=self._chance.randrange(1, 30))

    def _until_it_dies(self, process: Running) -> None:
        """What is to die at a write does so, or has nothing more to write: then it dies now."""
        deadline = time.monotonic() + 3.0
        while not process.has_ended() and time.monotonic() < deadline:
            time.sleep(0.005)
            process.look()


def _prepare(plan: Plan | None):
    return (lambda: Fragile(plan)) if plan else (lambda: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        torture = Torture(Path(folder), options.seed)
        for _ in range(options.kills):
            if time.monotonic() >= end:
                break
            torture.round()
    faults = dict(sorted(torture.done.items()))
    print(json.dumps({"rounds": torture.done.total(), "rows": torture.stored, "faults": faults}, indent=2))


if __name__ == "__main__":
    main()
