"""What the tracers cost: ns added per system call, context switch, socket call, page fault, timer and block read.

    sudo python benchmarks/overhead.py              # about six minutes; prints JSON
    sudo python benchmarks/overhead.py --rounds 3   # a first look

Every round measures all variants in an order of its own, so that what else the machine does hits
all alike, and loads each tracer anew, because where its code comes to lie changes what it costs.
What a variant adds is its difference to the same round's bare figure (the smaller of two): the median
over the rounds with the quartiles beside it, and `least`, the least of all rounds less the least bare
one, which is the better figure where others load tracers meanwhile. The bpftrace programs in
`workloads/` record about the same as the tracer of the same name, less what they cannot, and run in
the same rounds.

Then `kernelsight collect` with all that runs by default, beside 300 processes: CPU time and memory
while nothing else and while much happens. Needs root, gcc, and for the comparison bpftrace.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
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
from kernelsight.collectors.bpf.wait import EDGE_NS
from kernelsight.errors import SourceUnavailableError
from workloads.processes import PROCESSES, count_processes, crowd, memory_mb

HERE = Path(__file__).parent / "workloads"
PARTS_AND_TIMES = {
    "syscall": (16, 20_000),
    "switch": (24, 2_000),
    "socket": (24, 4_000),
    "fault": (20, 1_000),
    "timer": (12, 3_000),
    "read": (20, 150),
}
TARGETS = {
    "syscalls: ns per syscall": 110,
    "syscalls: share of bpftrace per syscall": 0.2,
    "waits: ns per switch": 320,
    "service: ns per socket call": 150,
    "collect: idle cpu_percent": 1.0,
    "collect: idle pss_mb": 60,
}
TRACING = ("kernelsight.collectors.bpf.", "kernelsight.collectors.perf")
BARE, BARE_AGAIN, ALL, THINNED = "bare", "bare again", "all", "waits, thinned"

Figures = dict[str, float]
Variant = Callable[[ExitStack], None]


def main() -> int:
    arguments = parse_arguments()
    if os.geteuid() != 0:
        print("loading tracers needs root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir=arguments.directory, prefix="overhead-benchmark-") as folder:
        measure = compile_work(Path(folder), arguments.cpu)
        tracers = [name for name in tracer_names() if can_run(name)]
        variants = make_variants(tracers, Path(folder), with_bpftrace=not arguments.no_bpftrace)
        rounds = measure_rounds(variants, measure, arguments)
        result = {
            "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "load_average": os.getloadavg(),
            "rounds": arguments.rounds,
            "seed": arguments.seed,
            "tracers": tracers,
            "targets": TARGETS,
            "work": {work: summary(rounds, work) for work in rounds[0][BARE]},
            "edge_ns_assumed": EDGE_NS,
            "collect": footprints(Path(folder), arguments),
        }
    print(rendered(result))
    return 0


def rendered(result: dict[str, object]) -> str:
    """JSON in which what holds nothing but figures takes one line."""
    return re.sub(r"[{\[][^{}\[\]]*[}\]]", lambda inner: " ".join(inner[0].split()), json.dumps(result, indent=1))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1, help="of the order within the rounds")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="where the work is done")
    parser.add_argument("--seconds", type=float, default=15, help="for which the collector is watched, twice")
    parser.add_argument("--directory", help="where to put the file that is read; by default the system's own")
    parser.add_argument("--no-bpftrace", action="store_true")
    return parser.parse_args()


# --- variants ---


def tracer_names() -> list[str]:
    """The collectors that hook into what others do: those that no file can stand in for."""
    return [
        name
        for name, entries in registered().items()
        if all(entry.factory.__module__.startswith(TRACING) for entry in entries)
    ]


def can_run(name: str) -> bool:
    try:
        open_best(name, Host())[1].close()
    except SourceUnavailableError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    return True


def make_variants(tracers: list[str], folder: Path, *, with_bpftrace: bool) -> dict[str, Variant]:
    """What is done to the machine by name; a variant enters what it needs into a stack."""
    variants: dict[str, Variant] = {BARE: lambda _: None, BARE_AGAIN: lambda _: None}
    for name, opened in {**{name: [name] for name in tracers}, ALL: tracers}.items():
        variants[name] = opener(opened)
    if "wait" in tracers:
        variants[THINNED] = open_thinned
    if with_bpftrace and shutil.which("bpftrace"):
        for script in sorted(HERE.glob("*.bt")):
            if script.stem in tracers:
                variants[f"{script.stem} (bpftrace)"] = bpftrace_starter(script, folder)
    return variants


def opener(names: list[str]) -> Variant:
    def start(stack: ExitStack) -> None:
        for name in names:
            stack.enter_context(closing(open_best(name, Host())[1]))

    return start


def open_thinned(stack: ExitStack) -> None:
    """Waits as they are where switches are far too many: hardly any is recorded."""
    waits = stack.enter_context(closing(open_best("wait", Host())[1]))
    waits._mask.value = (1 << 12) - 1  # type: ignore[attr-defined]  # noqa: SLF001


def bpftrace_starter(script: Path, folder: Path) -> Variant:
    return lambda stack: stack.enter_context(running_bpftrace(script, folder / "said"))


@contextmanager
def running_bpftrace(script: Path, said: Path) -> Iterator[None]:
    """Run a script in a mount namespace of its own, in which there is a tracefs whether or not the machine has one."""
    command = ["unshare", "--mount", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing; exec bpftrace "$0"']
    with said.open("w") as out, subprocess.Popen([*command, script], stdout=out, stderr=out) as tracer:
        try:
            deadline = time.monotonic() + 30
            while "ready" not in said.read_text(errors="replace"):
                if tracer.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{script.name} did not start: {said.read_text(errors='replace')}")
                time.sleep(0.05)
            time.sleep(0.5)  # BEGIN runs before the last probe is attached
            yield
            if tracer.poll() is not None:
                raise RuntimeError(f"{script.name} ended by itself: {said.read_text(errors='replace')}")
        finally:
            tracer.kill()  # it may take no notice of less, and leaves nothing behind


# --- work ---


def compile_work(folder: Path, cpu: int) -> Callable[[], Figures]:
    """Compile the work; what is returned does all of it once and says the ns that each took."""
    program, file = folder / "workload", folder / "blocks"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "workload.c"], check=True)
    file.write_bytes(os.urandom(4096) * 1024)
    os.sync()

    def measure() -> Figures:
        found = {}
        for work, (parts, times) in PARTS_AND_TIMES.items():
            command = [program, work, str(parts), str(times), str(cpu), file]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode == 0:
                found[work] = float(done.stdout)
            else:
                print(f"{work}: {done.stderr.strip()}", file=sys.stderr)
        return found

    return measure


def measure_rounds(
    variants: dict[str, Variant], measure: Callable[[], Figures], arguments: argparse.Namespace
) -> list[dict[str, Figures]]:
    """For each round, variant to work to ns."""
    order, rounds = list(variants), []
    shuffle = random.Random(arguments.seed).shuffle
    for number in range(arguments.rounds):
        shuffle(order)
        found = {}
        for variant in order:
            with ExitStack() as stack:
                variants[variant](stack)
                found[variant] = measure()
        rounds.append(found)
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    return rounds


def summary(rounds: list[dict[str, Figures]], work: str) -> dict[str, object]:
    """The bare ns of one kind of work, what each variant added to it, and that as a share of bpftrace's (over 5 %)."""
    bare = [min(one[BARE][work], one[BARE_AGAIN][work]) for one in rounds]
    least = min(bare)
    noise = [one[BARE][work] - one[BARE_AGAIN][work] for one in rounds]
    added = {
        variant: spread([one[variant][work] - base for one, base in zip(rounds, bare, strict=True)])
        | {"least": round(min(one[variant][work] for one in rounds) - least, 1)}
        for variant in sorted(rounds[0])
        if variant not in (BARE, BARE_AGAIN)
    }
    return {
        "bare_ns": spread(bare),
        "noise_ns": spread(noise),
        "added_ns": added,
        "share_of_bpftrace": {
            variant: round(added[variant]["median"] / by_bpftrace, 2)
            for variant in added
            if (by_bpftrace := added.get(f"{variant} (bpftrace)", {"median": 0})["median"]) > 0.05 * least
        },
    }


def spread(values: list[float]) -> dict[str, float]:
    low, _, high = statistics.quantiles(values, method="inclusive") if len(values) > 1 else values * 3
    return {"median": round(statistics.median(values), 1), "q1": round(low, 1), "q3": round(high, 1)}


# --- the collector as a process ---


def footprints(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """CPU and memory of `kernelsight collect`, while nothing and while much happens."""
    with crowd(max(PROCESSES - count_processes(), 0)), ExitStack() as stack:
        began = time.monotonic()
        collector = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "kernelsight", "collect"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        stack.callback(collector.terminate)
        time.sleep(5)
        if collector.poll() is not None:
            raise RuntimeError("kernelsight collect ended by itself")
        idle = footprint(collector.pid, arguments.seconds)
        parts = int(arguments.seconds * 500)  # of about 6 ms each: more than the time that it is watched
        command = [folder / "workload", "switch", str(parts), "2000", str(arguments.cpu)]
        load = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        stack.callback(load.kill)
        time.sleep(2)
        loaded = footprint(collector.pid, arguments.seconds)
        return {
            "processes": count_processes(),
            "idle": idle,
            "under load": loaded,
            "s": round(time.monotonic() - began),
        }


def footprint(pid: int, seconds: float) -> Figures:
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    return {
        "cpu_percent": round(100 * share, 2),
        "rss_mb": round(memory_mb(pid, "Rss"), 1),
        "pss_mb": round(memory_mb(pid), 1),
    }


def cpu_seconds(pid: int) -> float:
    """Its CPU time to the nanosecond; /proc/PID/stat counts in hundredths."""
    return sum(
        int((thread / "schedstat").read_text().split()[0]) / 1e9 for thread in Path(f"/proc/{pid}/task").iterdir()
    )


if __name__ == "__main__":
    raise SystemExit(main())
