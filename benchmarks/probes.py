"""What the probes of a live diagnosis cost beside what is always on, and what they tell.

    sudo python benchmarks/probes.py                  # about five minutes; prints JSON
    sudo python benchmarks/probes.py --rounds 1 --no-gain

*Price*: the collector that a probe changes or adds is read once a second beside programs that keep it busy: with the
probe's options and with the usual ones, in turns. CPU time is that of the reading thread and of the programs in the
kernel (kernel.bpf_stats_enabled, which is put back); a probe's price is the median difference of the rounds.
*Gain*: `kernelsight diagnose --live` beside a program with a fault, with each probe: what the answer says that the
first one did not. Needs root and gcc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kernelsight.collectors.base import Collector, Host, open_best
from kernelsight.diagnosis.probe import Probe, probes
from kernelsight.events.wire import encode_lines
from stacks import compiled, run_times_counted

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests/collectors/bpf/programs"
LOADS: Mapping[str, tuple[Path, tuple[str, ...]]] = {
    "takes_memory": (ROOT / "benchmarks/workloads/takes_memory.c", ("120",)),
    "computes": (PROGRAMS / "compute.c", ("120", "0.7")),
    "waits_for_a_lock": (PROGRAMS / "lock_sites.c", ("120",)),
}
BUSY_WITH: Mapping[str, str] = {"profile": "computes", "locks": "waits_for_a_lock", "faults": "takes_memory"}
"""The load beside which a probe costs most."""
S = 1_000_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-gain", action="store_true", help="only the price")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("loading tracers needs root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="probes-benchmark-") as folder:
        loads = {name: compiled(source, folder) for name, (source, _) in LOADS.items()}
        result: dict[str, object] = {
            "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "load_average": os.getloadavg(),
        }
        with run_times_counted():
            result["price"] = {
                name: priced(probe, loads, arguments.seconds, arguments.rounds) for name, probe in probes().items()
            }
        if not arguments.no_gain:
            result["gain"] = {name: gained(program, LOADS[name][1]) for name, program in loads.items()}
    print(json.dumps(result, indent=1))
    return 0


@contextmanager
def running(program: Path, arguments: tuple[str, ...]) -> Iterator[None]:
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def priced(probe: Probe, loads: Mapping[str, Path], seconds: int, rounds: int) -> dict[str, float | str]:
    """Percent of a CPU that a probe takes more than what is always on."""
    load = BUSY_WITH[probe.name]
    names = probe.collectors or (probe.likened_to,)
    costs: dict[bool, list[float]] = {True: [], False: []}
    with running(loads[load], LOADS[load][1]):
        for _ in range(rounds):
            for with_probe in (False, True):
                options = dict(probe.options) if with_probe else {}
                usual = [] if probe.collectors and not with_probe else names
                costs[with_probe].append(cost(usual, options, seconds))
    added = [with_it - without for with_it, without in zip(costs[True], costs[False], strict=True)]
    return {
        "beside": load,
        "cpu_percent": round(statistics.median(added), 2),
        "least": round(min(added), 2),
        "most": round(max(added), 2),
        "usual_cpu_percent": round(statistics.median(costs[False]), 2),
    }


def cost(names: list[str] | tuple[str, ...], options: Mapping[str, str], seconds: int) -> float:
    """Percent of a CPU that collectors take: their thread, and their programs in the kernel."""
    host = Host(options={name: float(value) for name, value in options.items()})
    collectors = [open_best(name, host)[1] for name in names]
    try:
        read(collectors, 2)
        ran, thread = run_time(collectors), time.thread_time_ns()
        read(collectors, seconds)
        return 100 * (run_time(collectors) - ran + time.thread_time_ns() - thread) / seconds / S
    finally:
        for collector in collectors:
            collector.close()


def read(collectors: list[Collector], seconds: int) -> None:
    for _ in range(seconds):
        time.sleep(1)
        for collector in collectors:
            if hasattr(collector, "drain"):
                list(collector.drain(lambda at: at))
            encode_lines(collector.collect(time.time_ns()))


def run_time(collectors: list[Collector]) -> int:
    """How long all their programs ran (ns)."""
    ran = 0
    for collector in collectors:
        for fd in collector._object.program_fds.values():  # type: ignore[attr-defined]  # noqa: SLF001
            lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
            told = dict(line.split(":\t") for line in lines if ":\t" in line)
            ran += int(told.get("run_time_ns", 0))
    return ran


def gained(program: Path, arguments: tuple[str, ...]) -> dict[str, object]:
    """What an answer says beside a load with each probe that it did not say without."""
    found: dict[str, object] = {}
    for name in probes():
        with running(program, arguments):
            time.sleep(3)
            command = [sys.executable, "-m", "kernelsight", "diagnose", "--live", "8", "--probe", name, "--json"]
            said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200).stdout
        with suppress(ValueError):
            answer = json.loads(said)
            found[name] = {
                "answer": [[each["fault"], each["culprit"]["name"]] for each in answer["findings"]],
                "told": answer["probes"][0]["told"],
            }
    return found


if __name__ == "__main__":
    sys.exit(main())
