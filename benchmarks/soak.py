"""What `kernelsight collect` costs beside very many of one thing, without and with its ceiling.

    sudo python benchmarks/soak.py                        # about half an hour; prints JSON
    sudo python benchmarks/soak.py --only threads --share 0.1 --seconds 20

Each soak is made in namespaces of its own and ends with them: processes, control groups, threads of one process,
sockets, interfaces, a fork storm. `collect` runs beside it with all that runs by default, twice: with a ceiling that
is never reached, and with `--max-cpu`. The figures are of the seconds after the first ones, with the ceiling after the
first minute, which it leaves alone: CPU time of the process, resident memory, grid points that were missed, how late
rows came after their grid point, rows a second, and what the ceiling thinned.
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
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NS_PER_S = 1_000_000_000
SETTLED_S = {"free": 15.0, "governed": 75.0}
"""Seconds that are not watched: the first look at everything, and the minute after which the ceiling acts."""
SOAKS = {
    "processes": 20_000,
    "cgroups": 10_000,
    "threads": 5_000,
    "sockets": 5_000,
    "interfaces": 2_000,
    "fork_loop": 4,
}
"""How many of what; of fork loops the number of shells that fork as fast as they can."""
WORKLOADS = Path(__file__).parent / "workloads"
CROWDS = ("processes", "threads")
"""Made by crowd.c, as a process of it takes a tenth of the memory of an interpreter; the others by flood.py."""
HIERARCHIES = ("cpu", "memory", ".")
"""Folders of /sys/fs/cgroup that control groups are made in, where there are any: of version 1, and of version 2."""
ISOLATED = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
SCRIPT = (
    'ip link set lo up; mkfifo "$0/said" "$0/held"; exec 3<>"$0/held"; "$1" "$2" "$3" "$4" <"$0/held" >"$0/said" & '
    'read said count <"$0/said"; shift 4; [ "$said" = ready ] && exec "$@"'
)
NEVER = 10_000.0


def main() -> int:
    """Make each soak, one after the other, and collect beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SOAKS, action="append", help="this soak; may be given several times")
    parser.add_argument("--share", type=float, default=1.0, help="of the numbers of each")
    parser.add_argument("--seconds", type=float, default=30, help="for which it is watched, after the first ones")
    parser.add_argument("--max-cpu", type=float, default=1.0, help="the ceiling, in per cent of a CPU")
    parser.add_argument("--governed-only", action="store_true", help="leave the run without a ceiling out")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        print("namespaces and tracers need root", file=sys.stderr)
        return 1
    found = {name: soaked(name, asked) for name in asked.only or SOAKS}
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()}
    json.dump({"machine": machine, "max_cpu_percent": asked.max_cpu, "soaks": found}, sys.stdout, indent=1)
    print()
    return 0


def soaked(name: str, asked: argparse.Namespace) -> dict[str, object]:
    """One soak, without and with the ceiling."""
    count = max(1, round(SOAKS[name] * (1.0 if name == "fork_loop" else asked.share)))
    ceilings = {"governed": asked.max_cpu} if asked.governed_only else {"free": NEVER, "governed": asked.max_cpu}
    return {"count": count} | {
        label: collected(name, count, SETTLED_S[label], asked.seconds, ceiling) for label, ceiling in ceilings.items()
    }


def collected(name: str, count: int, settled_s: float, watched_s: float, ceiling: float) -> dict[str, Any]:
    """Collect beside a soak, and watch the seconds after the first ones."""
    duration = ["--duration", str(settled_s + watched_s)]
    collect = [sys.executable, "-m", "kernelsight", "collect", "--max-cpu", str(ceiling), *duration]
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, control_groups(count * (name == "cgroups")):
        command = [*ISOLATED, "sh", "-c", SCRIPT, folder, *workload(name, count, Path(folder)), *collect]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
            assert running.stdout is not None
            try:
                return figures(arrivals(running.stdout), settled_s, watched_s)
            finally:
                running.terminate()


def workload(name: str, count: int, folder: Path) -> list[str]:
    """The command that makes so many of something: four words."""
    if name in CROWDS:
        program = folder / "crowd"
        subprocess.run(["gcc", "-O2", "-pthread", "-o", program, WORKLOADS / "crowd.c"], check=True)
        return ["env", str(program), name, str(count)]
    what = "processes" if name == "cgroups" else name
    return [sys.executable, str(WORKLOADS / "flood.py"), what, str(1 if name == "cgroups" else count)]


@contextmanager
def control_groups(count: int) -> Iterator[None]:
    """So many empty control groups, a hundred in each group of one, in the first hierarchy that takes them."""
    root = Path("/sys/fs/cgroup")
    folders = [root / name for name in HIERARCHIES if (root / name / "cgroup.procs").exists()]
    if not count or not folders:
        yield
        return
    top = folders[0] / f"kernelsight-soak-{os.getpid()}"
    made = [top]
    try:
        top.mkdir()
        for number in range(count):
            if number % 100 == 0:
                made.append(top / f"{number // 100}")
                made[-1].mkdir()
            else:
                made.append(top / f"{number // 100}/{number % 100}")
                made[-1].mkdir()
        yield
    finally:
        for group in reversed(made):
            group.rmdir()


def arrivals(lines: Iterator[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Events, each with when it came (ns since the epoch)."""
    for line in lines:
        yield time.time_ns(), json.loads(line)


def figures(events: Iterator[tuple[int, dict[str, Any]]], settled_s: float, watched_s: float) -> dict[str, Any]:
    """What the seconds after the first ones cost."""
    rows: Counter[str] = Counter()
    late: list[int] = []
    reports: dict[str, list[dict[str, Any]]] = {}
    begin = end = 0
    for came, event in events:
        begin, end = begin or event["timestamp"], event["timestamp"]
        if event["timestamp"] - begin < settled_s * NS_PER_S:
            continue
        if event["type"] == "collector":
            reports.setdefault(event["name"], []).append(event)
        else:
            rows[event["type"]] += 1
            if event["type"] in {"cpu", "memory", "load"}:
                late.append(came - event["timestamp"])
    if not reports:
        return {"error": f"collect ended after {(end - begin) / NS_PER_S:.0f} s"}
    grown = {name: grown_by(own, "cpu_ns") for name, own in reports.items()}
    last = [own[-1] for own in reports.values()]
    of_process = next(iter(reports.values()))
    spent_s = (of_process[-1]["timestamp"] - of_process[0]["timestamp"]) / NS_PER_S
    return {
        "cpu_percent": round(grown_by(of_process, "process_cpu_ns") / NS_PER_S / max(spent_s, 1e-9) * 100, 2),
        "rss_mb": round((of_process[-1].get("process_rss_kb") or 0) * 1024 / 1e6, 1),
        "missed": max(grown_by(own, "missed") for own in reports.values()),
        "late_ms": {
            "median": round(statistics.median(late) / 1e6, 1) if late else None,
            "most": round(max(late) / 1e6, 1) if late else None,
        },
        "rows_a_second": {kind: round(count / watched_s) for kind, count in rows.most_common(6)},
        "all_rows_a_second": round(sum(rows.values()) / watched_s),
        "dearest_ms_a_second": {
            name: round(ns / 1e6 / max(spent_s, 1e-9), 2) for name, ns in Counter(grown).most_common(5)
        },
        "thinned": {own["name"]: own["sampled_every"] for own in last if (own.get("sampled_every") or 1) > 1},
    }


def grown_by(reports: list[dict[str, Any]], column: str) -> int:
    """What a counter grew by over some reports."""
    return int((reports[-1].get(column) or 0) - (reports[0].get(column) or 0))


if __name__ == "__main__":
    raise SystemExit(main())
