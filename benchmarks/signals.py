"""What it costs to keep signals, coincidences and anomalies up with the events.

    python benchmarks/signals.py [--seconds 300] [--processes 300]     # about a minute; prints JSON

The stream is a recorded case of the fault bench, again and again, with so many processes beside it that all
move in every second. It comes into a store five seconds at a time, and after each both take a look, as their processes
do. Figures are CPU time of a look for each second of telemetry: at 10 ms a second it would be one per cent of a core.
The anomalies' looks that choose series and learn are given apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.faultbench.recording import CASES
from benchmarks.workloads.telemetry import SECOND, crowd, looped

from kernelsight.anomalies.live import Live
from kernelsight.events.declare import Event
from kernelsight.signals.live import Keeper
from kernelsight.stores.base import Batch, open_writer

CASE = CASES / "crowd_of_processes.ndjson.zst"
LOOK_EVERY_S = 5


def stream(seconds: int, processes: int) -> Iterator[list[Event]]:
    """So many seconds up to now, the case again and again, each with the processes beside it."""
    began = time.time_ns() // SECOND - seconds
    for number, events in enumerate(looped(CASE, began, seconds)):
        yield [*events, *crowd((began + number) * SECOND, number, processes)]


def taken(work: Callable[[], object]) -> float:
    """CPU time of some work, ms."""
    before = time.process_time_ns()
    work()
    return (time.process_time_ns() - before) / 1e6


def measure(path: str, seconds: int, processes: int) -> dict[str, object]:
    writer = open_writer(path)
    keeper, live = Keeper(path), Live(path)
    signals: list[float] = []
    anomalies: list[float] = []
    batch, rows = Batch(), 0
    for number, events in enumerate(stream(seconds, processes), 1):
        for one in events:
            batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(one))
        rows += len(events)
        if number % LOOK_EVERY_S == 0:
            writer.write(batch)
            batch = Batch()
            signals.append(taken(keeper.look) / LOOK_EVERY_S)
            anomalies.append(taken(live.look) / LOOK_EVERY_S)
    again = taken(lambda: keeper.again(0)) / seconds
    for one in (keeper, live):
        one.__exit__()
    writer.close()
    usual = statistics.median(anomalies)
    return {
        "rows_a_second": round(rows / seconds),
        "signals_ms_a_second": spread(signals),
        "reclassify_ms_a_second": round(again, 2),
        "anomalies_ms_a_second": spread([one for one in anomalies if one <= 5 * usual]),
        "anomalies_looks_that_learned_ms": [round(one * LOOK_EVERY_S) for one in anomalies if one > 5 * usual],
    }


def spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": round(statistics.fmean(values), 2),
        "median": round(statistics.median(values), 2),
        "max": round(max(values), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--processes", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(str(Path(folder) / "k.db"), arguments.seconds, arguments.processes)
    found |= {
        "processes": arguments.processes,
        "max_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}",
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
