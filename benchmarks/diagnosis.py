"""How long an answer takes, by the length of the window and by how much happened in it.

    python benchmarks/diagnosis.py [--seconds 600] [--rounds 5]     # two minutes; prints JSON

Recorded cases of the fault bench, again and again for so many seconds, alone and beside 150 processes that all do a
little in every second. Each window is asked about in turn, the last minute of it as well; `cpu_s` is what takes the
time, `wall_s` what a person waits, both medians, with the worst.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.faultbench.recording import CASES
from benchmarks.workloads.telemetry import SECOND, crowd, looped

from kernelsight.diagnosis import diagnose
from kernelsight.stores.base import Batch, open_writer

BEGINS_S = 1_790_000_000
NAMES = ("database_with_commits", "compile_on_every_cpu", "loud_victims_of_hogs", "crowd_of_processes")
BESIDE = 150
MINUTE_S = 60


def filled(path: str, name: str, seconds: int, processes: int) -> int:
    """Fill a store; how many rows it has."""
    writer, rows = open_writer(path), 0
    batch = Batch()
    for number, events in enumerate(looped(CASES / f"{name}.ndjson.zst", BEGINS_S, seconds)):
        everything = [*events, *crowd((BEGINS_S + number) * SECOND, number, processes)]
        for event in everything:
            batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
        rows += len(everything)
        if number % MINUTE_S == MINUTE_S - 1 or number == seconds - 1:
            writer.write(batch)
            batch = Batch()
    writer.close()
    return rows


def asked(path: str, window_s: int, seconds: int) -> tuple[float, float]:
    """CPU time and time by the clock of one answer, s."""
    end = (BEGINS_S + seconds) * SECOND
    cpu, wall = time.process_time(), time.perf_counter()
    diagnose(path, end - window_s * SECOND, end)
    return time.process_time() - cpu, time.perf_counter() - wall


def spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 3), "worst": round(max(values), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    measured = []
    for name in NAMES:
        for processes in (0, BESIDE):
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "k.db")
                rows = filled(path, name, arguments.seconds, processes)
                for window_s in (MINUTE_S, arguments.seconds):
                    took = [asked(path, window_s, arguments.seconds) for _ in range(arguments.rounds)]
                    cpu, wall = zip(*took, strict=True)
                    measured.append({
                        "case": name, "processes_beside": processes, "rows": rows, "window_s": window_s,
                        "cpu_s": spread([*cpu]), "wall_s": spread([*wall]),
                    })  # fmt: skip
    machine = f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"
    print(json.dumps({"machine": machine, "answers": measured}, indent=1))


if __name__ == "__main__":
    main()
