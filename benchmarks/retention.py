#!/usr/bin/env python3
"""How long anybody waits while rows leave a store, twins are made and backups run: prints one JSON object.

    python benchmarks/retention.py [--rate 20000] [--seconds 60] [--max-disk-mb 200] [--seed N] [--path FOLDER]

System calls arrive at a rate, 100 and more at once, with upkeep every second as the daemon has it. The store reaches
its limit after some seconds; from then on a segment goes for each that comes. Beside it a process makes twins, one
reads the newest rows ten times a second, and one makes backups, one after the other. Rows may leave at once here, where
they otherwise stay for ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

from kernelsight.errors import StoreError
from kernelsight.events.syscalls import Syscall
from kernelsight.stores.base import Batch, open_reader, open_writer, store
from kernelsight.stores.limits import EVERY
from kernelsight.stores.sqlite import leaving, tiers, upkeep
from kernelsight.stores.sqlite.retention import Retention
from kernelsight.stores.sqlite.tiers import Tiers
from storage import make_rows

TABLE = "syscall_events"
_POOL = 200_000


class Timed:
    """How long each call of some methods took."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)

    def watch(self, owner: type, name: str) -> None:
        """Time a method, where it does something."""
        original: Callable[..., Any] = getattr(owner, name)

        @wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            before = time.perf_counter()
            result = original(*args, **kwargs)
            if result is not False:
                self.taken[name].append(1e3 * (time.perf_counter() - before))
            return result

        setattr(owner, name, timed)


def summary(values: list[float]) -> dict[str, float]:
    """Count, median, 99th percentile and maximum."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50_ms": round(statistics.median(ordered), 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3),
        "max_ms": round(ordered[-1], 3),
    }


def write(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Store rows at the rate; how long commits and the steps of upkeep took."""
    leaving.SETTLED_NS = tiers.SETTLED_NS = 0
    timed = Timed()
    timed.watch(Tiers, "_let_held_go")
    timed.watch(Tiers, "give_back")
    timed.watch(Retention, "drop_removed")
    timed.watch(upkeep.Upkeep, "_summarise")
    timed.watch(upkeep.Upkeep, "_index")
    pool = make_rows(_POOL, options.seed)
    commits, upkeeps, written = [], [], 0
    with closing(open_writer(str(path), background=True)) as writer:
        writer.set_limits({(EVERY, "max_disk"): options.max_disk_mb * 10**6})
        begun = upkept = time.perf_counter()
        while (now := time.perf_counter()) - begun < options.seconds:
            arrived = int((now - begun) * options.rate)
            if arrived - written >= 100:
                stamp = time.time_ns()
                part = [(stamp + n, *pool[(written + n) % _POOL][1:]) for n in range(min(arrived - written, 10_000))]
                before = time.perf_counter()
                writer.write(Batch({Syscall: part}))
                commits.append(1e3 * (time.perf_counter() - before))
                written += len(part)
            elif now - upkept > 1:
                before = time.perf_counter()
                for warning in writer.maintain(budget_s=0.1):
                    print(warning, flush=True)
                upkeeps.append(1e3 * (time.perf_counter() - before))
                upkept = time.perf_counter()
            else:
                time.sleep(0.0005)
    steps = {
        "segment_leaves": "_let_held_go",
        "table_is_dropped": "drop_removed",
        "pages_go_back": "give_back",
        "segment_is_summarised": "_summarise",
        "index_is_built": "_index",
    }
    return {
        "rows": written,
        "commit": summary(commits),
        "upkeep": summary(upkeeps),
        **{name: summary(timed.taken[method]) for name, method in steps.items()},
    }


def read(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Ask for the newest rows again and again."""
    waits = []
    end = time.monotonic() + options.seconds
    while not path.exists():
        time.sleep(0.1)
    time.sleep(1)
    with closing(open_reader(str(path))) as reader:
        while time.monotonic() < end:
            before = time.perf_counter()
            now = time.time_ns()
            relation, params = reader.relation(TABLE, now - 10**8, now, ["latency_ns"])
            reader.query(f"SELECT count(*), max(latency_ns) FROM {relation}", params)
            waits.append(1e3 * (time.perf_counter() - before))
            time.sleep(0.1)
    return {"newest_100_ms": summary(waits)}


def back_up(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Back up into one folder, one backup after the other."""
    seconds, rows = [], 0
    end = time.monotonic() + options.seconds
    while not path.exists():
        time.sleep(0.1)
    time.sleep(5)
    while time.monotonic() < end:
        before = time.perf_counter()
        work = store(str(path)).back_up(path.with_name("backup"))
        try:
            while True:
                next(work)
        except StopIteration as done:
            rows = done.value.rows
        except StoreError as error:
            return {"error": str(error)}
        seconds.append(time.perf_counter() - before)
        time.sleep(1)
    return {"backups": len(seconds), "longest_s": round(max(seconds, default=0), 2), "rows_of_the_last": rows}


def beside(task: Callable[[Path, argparse.Namespace], dict[str, Any]], path: Path, options: Any) -> Callable[[], Any]:
    """Run a task in a process of its own; gives what waits for its result."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(write_end, json.dumps(task(path, options)).encode())
        os._exit(0)
    os.close(write_end)

    def result() -> Any:
        with os.fdopen(read_end) as said:
            text = said.read()
        os.waitpid(pid, 0)
        return json.loads(text or "null")

    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--max-disk-mb", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--path", type=Path, help="folder for the database (default: a temporary one)")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory(dir=options.path) as folder:
        path = Path(folder, "k.db")
        results = [beside(task, path, options) for task in (read, back_up)]
        figures = write(path, options)
        figures |= {"reader": results[0](), "backup": results[1]()}
        figures["mb_on_disk"] = round((store(str(path)).retained({}).bytes) / 1e6, 1)
    print(json.dumps({"rate": options.rate, "max_disk_mb": options.max_disk_mb, **figures}, indent=1))


if __name__ == "__main__":
    main()
