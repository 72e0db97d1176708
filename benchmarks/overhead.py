"""What the tracers cost: nanoseconds added per system call, context switch, page fault and block read.

Every round measures all variants one after the other, the bare machine first, so that what else
the machine does hits all alike; the figures are medians over the rounds of the difference to the
same round's bare figure. The bpftrace programs beside `workloads/` record about the same and run
in the same rounds. Prints JSON. Needs root, gcc, and for the comparison bpftrace.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from kernelsight.collectors.base import Host, open_best, registered
from kernelsight.errors import SourceUnavailableError

HERE = Path(__file__).parent / "workloads"
TRACERS = (
    "syscalls", "syscall_errors", "scheduler", "waits", "blocked_tasks",
    "page_faults", "block_io", "tcp_retransmits", "oom_kills", "packet_drops",
)  # fmt: skip
TIMES = {"syscall": 1_500_000, "switch": 150_000, "fault": 60_000, "read": 2_000}
UNDER_LOAD = ("switch", 1_000_000)

Measure = Callable[[], dict[str, float]]


def main() -> int:
    arguments = parse_arguments()
    if os.geteuid() != 0:
        print("loading tracers needs root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        measure = workloads(Path(folder), arguments.cpu, arguments.scale)
        found = [name for name in TRACERS if can_run(name)]
        rounds = [one_round(measure, found, bpftrace=not arguments.no_bpftrace) for _ in range(arguments.rounds)]
        result = {
            "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
            "rounds": arguments.rounds,
            "work": summary(rounds),
            "collector": footprints(found, Path(folder), arguments.cpu),
        }
    print(json.dumps(result, indent=1))
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="where the work is done")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of times each thing is done")
    parser.add_argument("--directory", help="where to put the file that is read; by default the system's own")
    parser.add_argument("--no-bpftrace", action="store_true")
    return parser.parse_args()


def can_run(name: str) -> bool:
    if name not in registered():
        return False
    try:
        open_best(name, Host())[1].close()
    except SourceUnavailableError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    return True


def workloads(folder: Path, cpu: int, scale: float) -> Measure:
    """Compile the work; what is returned does all of it once and says the ns that each took."""
    program, file = folder / "workload", folder / "blocks"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "workload.c"], check=True)
    file.write_bytes(os.urandom(4096) * 1024)
    os.sync()

    def measure() -> dict[str, float]:
        found = {}
        for work, times in TIMES.items():
            command = [program, work, str(max(int(times * scale), 1)), str(cpu), file]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode == 0:
                found[work] = float(done.stdout)
        return found

    return measure


def one_round(measure: Measure, tracers: list[str], *, bpftrace: bool) -> dict[str, dict[str, float]]:
    """Variant to work to ns."""
    found = {"bare": measure()}
    for variant, names in {**{name: [name] for name in tracers}, "all": tracers}.items():
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(closing(open_best(name, Host())[1]))
            found[variant] = measure()
        script = HERE / f"{variant}.bt"
        if bpftrace and script.exists() and shutil.which("bpftrace"):
            with running_bpftrace(script):
                found[f"{variant} (bpftrace)"] = measure()
    return found


@contextmanager
def running_bpftrace(script: Path) -> Iterator[None]:
    with subprocess.Popen(["bpftrace", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        for line in tracer.stdout:
            if "ready" in line:
                break
        time.sleep(0.5)  # BEGIN runs before the last probe is attached
        try:
            yield
        finally:
            tracer.terminate()
            tracer.communicate()


def summary(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, object]]:
    """Work to the bare ns and what each variant added to it."""
    result: dict[str, dict[str, object]] = {}
    for work in rounds[0]["bare"]:
        added = {}
        for variant in rounds[0]:
            if variant != "bare":
                differences = [one[variant][work] - one["bare"][work] for one in rounds]
                added[variant] = round(statistics.median(differences), 1)
        share = {
            variant: round(added[variant] / added[f"{variant} (bpftrace)"], 2)
            for variant in added
            if added.get(f"{variant} (bpftrace)", 0) > 0
        }
        bare = statistics.median(one["bare"][work] for one in rounds)
        result[work] = {"bare_ns": round(bare, 1), "added_ns": added, "share_of_bpftrace": share}
    return result


def footprints(tracers: list[str], folder: Path, cpu: int) -> dict[str, dict[str, float]]:
    """CPU and memory of `kernelsight collect` with all tracers, while nothing and while much happens."""
    command = [sys.executable, "-m", "kernelsight", "collect", *tracers]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as collector:
        try:
            time.sleep(2)
            if collector.poll() is not None:
                return {}
            idle = footprint(collector.pid, 5)
            work, times = UNDER_LOAD
            with subprocess.Popen([folder / "workload", work, str(times), str(cpu)], stdout=subprocess.DEVNULL) as load:
                loaded = footprint(collector.pid, 5)
                load.kill()
        finally:
            collector.terminate()
    return {"idle": idle, "under load": loaded}


def footprint(pid: int, seconds: float) -> dict[str, float]:
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines() if line.endswith("kB")}
    return {
        "cpu_percent": round(100 * share, 2),
        "rss_mb": round(kilobytes["Rss"] / 1024, 1),
        "pss_mb": round(kilobytes["Pss"] / 1024, 1),
    }


def cpu_seconds(pid: int) -> float:
    """Its CPU time to the nanosecond; /proc/PID/stat counts in hundredths."""
    return sum(
        int((thread / "schedstat").read_text().split()[0]) / 1e9 for thread in Path(f"/proc/{pid}/task").iterdir()
    )


if __name__ == "__main__":
    raise SystemExit(main())
