"""What stacks cost: of running threads at 19, 49 and 99 Hz, and of threads that wait for locks; and how true they are.

    sudo python benchmarks/stacks.py            # about two minutes; prints JSON
    sudo python benchmarks/stacks.py --seconds 5

CPU time is that of the collector's own thread, and of its program in the kernel (kernel.bpf_stats_enabled, which is
put back). Memory is what the process has more than before it opened the collector, the kernel's maps counted by their
sizes. `told_share` is the share of a function of a C program that spends 70 % of its CPU time in it. `switch` is what a
switch of two processes that take turns costs more, in pairs with and without: `stacks` and `lock_waits` beside each
other, at as many switches a second as the two make. Needs root and gcc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.lock_wait import LockWaits
from kernelsight.collectors.bpf.stacks import Stacks
from kernelsight.events.stack import Stack, StackSample
from kernelsight.events.wire import encode_lines
from kernelsight.linux.stacks import decoded

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests/collectors/bpf/programs"
WORKLOAD = ROOT / "benchmarks/workloads/workload.c"
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
RATES = (19, 49, 99)
TARGETS = {"stacks at 19 Hz: cpu_percent": 0.3, "stacks at 19 Hz: mb": 15.0}
PARTS, SWITCHES = 24, 20_000
S = 1_000_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15, help="for each rate")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs with switches")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("loading tracers needs root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="stacks-benchmark-") as folder, run_times_counted():
        compute, locks = compiled(PROGRAMS / "compute.c", folder), compiled(PROGRAMS / "lock_sites.c", folder)
        work = compiled(WORKLOAD, folder)
        result = {
            "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "load_average": os.getloadavg(),
            "targets": TARGETS,
            "stacks": {f"{rate} Hz": of_running(compute, rate, arguments.seconds) for rate in RATES},
            "lock_waits": of_waiting(locks, arguments.seconds),
            "switch": of_switches(work, arguments.rounds),
        }
    print(json.dumps(result, indent=1))
    return 0


def compiled(source: Path, folder: str) -> Path:
    program = Path(folder) / source.stem
    subprocess.run(["gcc", "-O2", "-fno-omit-frame-pointer", "-pthread", "-o", program, source], check=True)
    return program


@contextmanager
def run_times_counted() -> Iterator[None]:
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


def run_time(collector: Stacks | LockWaits) -> tuple[int, int]:
    """Of all its programs: ns that they ran, and how often."""
    ran = times = 0
    for fd in collector._object.program_fds.values():  # noqa: SLF001
        told = dict(
            line.split(":\t") for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines() if ":\t" in line
        )
        ran += int(told.get("run_time_ns", 0))
        times += int(told.get("run_cnt", 0))
    return ran, times


def watched(collector: Stacks | LockWaits, seconds: int) -> tuple[list[object], float, int]:
    """What it yields in so many seconds, encoded as in use; ns of CPU time a second of its thread; bytes of lines."""
    events: list[object] = []
    size, began = 0, time.thread_time_ns()
    for second in range(seconds):
        until = time.monotonic() + 1
        while (left := until - time.monotonic()) > 0:
            if not isinstance(collector, Stacks):
                time.sleep(left)
            elif select.select([collector.fileno()], [], [], left)[0]:
                collector.drain(lambda at: at)
        some = list(collector.collect(1_700_000_000 * S + second * S))
        size += len(encode_lines(some))
        events += some
    return events, (time.thread_time_ns() - began) / seconds, size


def rss_kb() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)


def of_running(program: Path, rate: int, seconds: int) -> dict[str, float]:
    """Beside as many programs that compute as there are CPUs."""
    before = rss_kb()
    cpus = os.cpu_count() or 1
    collector = Stacks(Host(options={"stack_hz": rate}))
    computing = [subprocess.Popen([program, "600", "0.7"], stdout=subprocess.DEVNULL) for _ in range(cpus)]
    try:
        first, _, _ = watched(collector, 2)  # all that runs is new at first
        ran, times = run_time(collector)
        events, cpu_ns, size = watched(collector, seconds)
        ran, times = run_time(collector)[0] - ran, run_time(collector)[1] - times
        mb = (rss_kb() - before) / 1024
        lost, maps = collector.lost, collector._object.map("user_stacks")  # noqa: SLF001
        room_mb = 2 * maps.max_entries * maps.value_size / 2**20
    finally:
        for process in computing:
            process.kill()
            process.wait()
        collector.close()
    samples = [event for event in events if isinstance(event, StackSample)]
    return {
        "cpu_percent": round(cpu_ns / S * 100, 3),
        "kernel_percent": round(ran / seconds / S * 100, 4),
        "kernel_us_per_sample": round(ran / max(times, 1) / 1000, 2),
        "samples_per_s": round(sum(sample.samples or 0 for sample in samples) / seconds, 1),
        "rows_per_s": round(len(events) / seconds, 1),
        "bytes_per_s": round(size / seconds),
        "rss_mb": round(mb, 1),
        "maps_mb": round(room_mb, 1),
        "lost": lost,
        "truth_share": 0.7,
        "told_share": round(share_of([*first, *events], {process.pid for process in computing}, program), 3),
    }


def share_of(events: list[object], pids: set[int], program: Path) -> float:
    """The share of the hotter one of the two functions that compute, by the functions' places in the file."""
    listed = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout.splitlines()
    places = sorted(int(words[0], 16) for words in map(str.split, listed) if len(words) == 3)
    names = {int(words[0], 16): words[2] for words in map(str.split, listed) if len(words) == 3}
    stacks = {event.stack_id: decoded(event.frames or "") for event in events if isinstance(event, Stack)}
    seen: Counter[str] = Counter()
    for event in events:
        if isinstance(event, StackSample) and event.pid in pids and event.kernel_stack_id is None:
            frames = stacks.get(event.user_stack_id)
            if frames is not None and frames.places:
                offset = frames.places[0][1]
                seen[names[max((place for place in places if place <= offset), default=places[0])]] += (
                    event.samples or 0
                )
    both = seen["heavy_work"] + seen["light_work"]
    return seen["heavy_work"] / both if both else float("nan")


def of_waiting(program: Path, seconds: int) -> dict[str, float]:
    """Beside a contended lock, and beside 2,000 threads of a pool that wait for no lock."""
    collector = LockWaits(Host())
    ready, stop = threading.Barrier(1), threading.Event()
    pool = [threading.Thread(target=stop.wait, daemon=True) for _ in range(2000)]
    for thread in pool:
        thread.start()
    ready.wait()
    waiting = subprocess.Popen([program, "600"], stdout=subprocess.DEVNULL)
    try:
        watched(collector, 15)  # what is no lock is learned
        ran, _ = run_time(collector)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        process_s = usage.ru_utime + usage.ru_stime
        events, cpu_ns, _ = watched(collector, seconds)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        process_s = usage.ru_utime + usage.ru_stime - process_s
        ran = run_time(collector)[0] - ran
    finally:
        waiting.kill()
        waiting.wait()
        stop.set()
        collector.close()
    return {
        "threads": len(pool),
        "cpu_percent": round(cpu_ns / S * 100, 3),
        "cpu_percent_with_its_reader": round(100 * process_s / seconds, 3),
        "kernel_percent": round(ran / seconds / S * 100, 4),
        "rows_per_s": round(len(events) / seconds, 1),
    }


def of_switches(work: Path, rounds: int) -> dict[str, float]:
    """What a switch costs with both collectors and without, in pairs."""
    cpu = max(os.sched_getaffinity(0))

    def once() -> float:
        command = [work, "switch", str(PARTS), str(SWITCHES), str(cpu)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    added, bare = [], []
    for _ in range(rounds):
        without = once()
        collectors = [Stacks(Host()), LockWaits(Host())]
        try:
            with_both = once()
        finally:
            for collector in collectors:
                collector.close()
        bare.append(without)
        added.append(with_both - without)
    ns = statistics.median(bare)
    return {
        "bare_ns": round(ns, 1),
        "switches_per_s": round(S / ns),
        "added_ns": round(statistics.median(added), 1),
        "added_ns_least": round(min(added), 1),
        "added_ns_most": round(max(added), 1),
        "added_percent": round(100 * statistics.median(added) / ns, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
