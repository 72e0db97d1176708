"""How much a user who makes entities without end makes `kernelsight collect` write.

    sudo python benchmarks/floods.py                       # about two minutes; prints JSON
    sudo python benchmarks/floods.py --source OTHER/src    # of another checkout, to compare

Each flood is made in mount and network namespaces of its own, and goes with them: mounts, interfaces,
sockets, a fork loop, processes that stay. Figures are of the seconds after the first 25, in which what
had been saved up is spent, without the collectors' reports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SPENT_S = 25
MEASURED_S = 10
FLOODS = {
    "mounts": (5000, ("filesystem",)),
    "interfaces": (2000, ("network", "qdisc")),
    "sockets": (5000, ("tcp", "udp_socket", "socket_owner")),
    "processes": (2000, ("process", "scheduler", "wait")),
    "fork_loop": (4, ("process", "scheduler", "wait")),
}
"""How many of what, and the collectors that see them."""

WORKLOAD = Path(__file__).parent / "workloads/flood.py"


def measured(lines: Iterable[bytes]) -> dict[str, object]:
    """Bytes and rows a second of the lines after the first seconds, by kind, and what was left out."""
    rows: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    left_out = 0
    begin = None
    for line in lines:
        event = json.loads(line)
        begin = begin or event["timestamp"]
        if event["type"] == "collector":
            left_out = max(left_out, event.get("left_out", 0))
        elif event["timestamp"] - begin >= SPENT_S * 10**9:
            rows[event["type"]] += 1
            sizes[event["type"]] += len(line)
    return {
        "bytes_a_second": sum(sizes.values()) // MEASURED_S,
        "rows_a_second": {kind: count // MEASURED_S for kind, count in rows.most_common()},
        "left_out": left_out,
    }


def flood(name: str, environment: dict[str, str]) -> dict[str, object]:
    """Make a flood, and collect beside it."""
    count, collectors = FLOODS[name]
    # It ends with its pid namespace, whose first process ends after collecting.
    isolated = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    script = (
        'ip link set lo up; mkfifo "$0/said" "$0/held"; exec 3<>"$0/held"; "$1" "$2" "$3" "$4" <"$0/held" >"$0/said" & '
        'read said <"$0/said"; shift 4; [ "$said" = ready ] && exec "$@"'
    )
    collect = [sys.executable, "-m", "kernelsight", "collect", *collectors, "--duration", str(SPENT_S + MEASURED_S)]
    with tempfile.TemporaryDirectory() as folder:
        made = [sys.executable, str(WORKLOAD), name, str(count)]
        command = [*isolated, "sh", "-c", script, folder, *made, *collect]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as running:
            assert running.stdout is not None
            return measured(running.stdout)


def main() -> None:
    """Make each flood, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="the src directory of the checkout to measure; default: this one")
    parser.add_argument("--only", choices=FLOODS, action="append", help="this flood; may be given several times")
    asked = parser.parse_args()
    source = asked.source or Path(__file__).resolve().parents[1] / "src"
    environment = os.environ | {"PYTHONPATH": str(source.resolve())}
    found = {name: flood(name, environment) for name in asked.only or FLOODS}
    json.dump({"kernel": platform.release(), "cpus": os.cpu_count(), "floods": found}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
