"""What the whole system costs on an idle machine: CPU time and memory of each part of `kernelsight start`.

    sudo python benchmarks/system.py                  # about six minutes; prints JSON
    sudo python benchmarks/system.py --seconds 60     # a first look

Everything that runs by default runs, on a database of its own that ends with the benchmark. The figures are of the
seconds after the first ones, in which baselines are learned and everything is looked at for the first time: CPU time in
per cent of a CPU, and at the end the proportional set size (PSS: what processes share counts once for all of them).
Where `netdata` is installed, it runs beside, with its default settings but for its folders and its port.

A part is a process that `start` started, with all that it started itself. CPU time grows on a machine that does other
work: compare figures of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TARGETS = {"cpu_percent": 2.5, "pss_mb": 130}
NETDATA_PORT = 29_999
NETDATA_CONFIG = """
[global]
    run as user = root
[directories]
    cache = {0}/cache
    lib = {0}/lib
    log = {0}/log
[web]
    bind to = 127.0.0.1:{1}
"""
FOLLOWS = "kernelsight.surfaces.supervisor.child"
"""The module by which `start` starts a part: two arguments later stands the part's command."""


def main() -> int:
    """Start everything, watch, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settle", type=float, default=150, help="seconds that are not watched, at first")
    parser.add_argument("--seconds", type=float, default=180, help="for which it is watched")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="system-benchmark-") as folder, ExitStack() as stack:
        programs = {"kernelsight": stack.enter_context(kernelsight(Path(folder)))}
        if shutil.which("netdata"):
            programs["netdata"] = stack.enter_context(netdata(Path(folder)))
        time.sleep(asked.settle)
        before, began = {name: parts(pid) for name, pid in programs.items()}, time.monotonic()
        time.sleep(asked.seconds)
        after, took = {name: parts(pid) for name, pid in programs.items()}, time.monotonic() - began
        found = {name: costs(before[name], after[name], took) for name in programs}
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()}
    result = {
        "machine": machine,
        "load_average": os.getloadavg(),
        "processes": sum(path.name.isdigit() for path in PROC.iterdir()),
        "seconds": round(took, 1),
        "targets": TARGETS,
        **found,
    }
    json.dump(result, sys.stdout, indent=1)
    print()
    return 0


@contextmanager
def kernelsight(folder: Path) -> Iterator[int]:
    """Everything that `kernelsight start` starts by default."""
    command = [sys.executable, "-m", "kernelsight", "start", "--db-path", str(folder / "kernelsight.db")]
    with running(command, signal.SIGTERM) as pid:
        yield pid


@contextmanager
def netdata(folder: Path) -> Iterator[int]:
    """Netdata in the foreground, with folders of its own."""
    for name in ("cache", "lib", "log"):
        (folder / name).mkdir()
    config = folder / "netdata.conf"
    config.write_text(NETDATA_CONFIG.format(folder, NETDATA_PORT))
    with running(["netdata", "-D", "-c", str(config)], signal.SIGTERM) as pid:
        yield pid


@contextmanager
def running(command: list[str], ends_by: signal.Signals) -> Iterator[int]:
    """A program that writes to nobody."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        try:
            yield program.pid
        finally:
            program.send_signal(ends_by)


def parts(root: int) -> dict[str, dict[str, float]]:
    """CPU seconds so far and memory of each part: of the program itself, and of each of its children with theirs."""
    children: dict[int, list[int]] = {}
    for path in PROC.iterdir():
        with suppress(OSError, ValueError):
            children.setdefault(int(fields(path)[1]), []).append(int(path.name))
    found = {"itself": cost([root])}
    for child in children.get(root, ()):
        with suppress(OSError):
            found[part_name(child)] = cost(with_descendants(child, children))
    return found


def fields(process: Path) -> list[str]:
    """Those of /proc/PID/stat after the name."""
    return (process / "stat").read_text().rpartition(") ")[2].split()


def with_descendants(pid: int, children: dict[int, list[int]]) -> list[int]:
    """A process, its children, and so on."""
    return [pid, *(below for child in children.get(pid, ()) for below in with_descendants(child, children))]


def part_name(pid: int) -> str:
    """What a child is called: the command of a part, or the program's name."""
    words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return words[words.index(FOLLOWS) + 3] if FOLLOWS in words else Path(words[0]).name


def cost(pids: list[int]) -> dict[str, float]:
    """CPU time, that of children that ended included, and PSS of processes."""
    total = {"cpu_s": 0.0, "pss_mb": 0.0}
    for pid in pids:
        with suppress(OSError):
            total["cpu_s"] += sum(map(int, fields(PROC / str(pid))[11:15])) / TICKS_PER_S
            total["pss_mb"] += pss_kb(pid) * 1024 / 1e6
    return total


def pss_kb(pid: int) -> int:
    """The proportional set size."""
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def costs(
    before: dict[str, dict[str, float]], after: dict[str, dict[str, float]], seconds: float
) -> dict[str, dict[str, float]]:
    """What each part took; one that was not there before counts from its start."""
    found = {
        name: {
            "cpu_percent": round((now["cpu_s"] - before.get(name, {"cpu_s": 0.0})["cpu_s"]) / seconds * 100, 2),
            "pss_mb": round(now["pss_mb"], 1),
        }
        for name, now in after.items()
    }
    whole = {what: round(sum(part[what] for part in found.values()), 2) for what in TARGETS}
    return {"whole": whole, **found}


if __name__ == "__main__":
    raise SystemExit(main())
