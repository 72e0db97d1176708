"""What a look at the sockets costs, from each source that can run here.

    sudo python benchmarks/sockets.py     # about half a minute; prints JSON

Sockets are made on loopback, in a network namespace of their own where that is allowed. Every source
is asked at 5 Hz, so that its data is not in the CPU's caches from the last time; figures are the
median of the CPU time of one run, encoding included, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from kernelsight.collectors import base
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.wire import encode_lines

NAMES = ("tcp", "socket_owner", "udp_socket")
COUNTS = (0, 6000)
RUNS = 15
PAUSE_S = 0.2
STEP_NS = {"tcp": 10**9, "udp_socket": 10**9, "socket_owner": 10**12}
"""Between the stamps of two runs: a second; more for what rests in between, so that every run is a look."""


def connect(stack: ExitStack, count: int) -> None:
    """So many established sockets, half of them this process's clients."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
    for _ in range(count // 2):
        stack.enter_context(socket.create_connection(listener.getsockname()))
        stack.enter_context(listener.accept()[0])


def bind(stack: ExitStack, count: int) -> None:
    """So many UDP sockets, one in a hundred with something to read."""
    sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for number in range(count):
        one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        one.bind(("127.0.0.1", 0))
        if number % 100 == 0:
            sender.sendto(b"x", one.getsockname())


def measure() -> dict[str, float]:
    """Each source in turn."""
    said: dict[str, float] = {}
    for name in NAMES:
        for entry in base.registered()[name]:
            try:
                collector = entry.factory(base.Host())
            except SourceUnavailableError:
                continue
            taken, began = [], time.time_ns()
            for run in range(1, RUNS + 1):
                time.sleep(PAUSE_S)
                before = time.thread_time_ns()
                encode_lines(collector.collect(began + run * STEP_NS[name]))
                taken.append((time.thread_time_ns() - before) / 1000)
            collector.close()
            said[f"{name} ({entry.source})"] = round(statistics.median(taken))
    return said


def buckets() -> int | None:
    """Chains of the table of connections, which every look goes over."""
    path = Path("/proc/sys/net/ipv4/tcp_ehash_entries")
    return abs(int(path.read_text())) if path.exists() else None


def in_namespace() -> None:
    """Start again in a network namespace, once."""
    if "--here" not in sys.argv and os.geteuid() == 0:
        shell = 'ip link set lo up && exec "$@"'
        command = ["unshare", "--net", "sh", "-c", shell, "sh", sys.executable, __file__, "--here"]
        sys.exit(subprocess.run(command, check=False).returncode)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="in the network namespace of the caller")
    parser.parse_args()
    in_namespace()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    result = {
        "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "chains": buckets(),
    }
    for count in COUNTS:
        with ExitStack() as stack:
            connect(stack, count)
            bind(stack, count // 10)
            result[f"us with {count} TCP and {count // 10} UDP sockets"] = measure()
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
