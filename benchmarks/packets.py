"""What the tracers of packets cost: nanoseconds per packet dropped and per segment sent again.

The kernel itself measures how long each program ran (kernel.bpf_stats_enabled, switched on meanwhile).
Prints JSON. Needs root, unshare, ip and nft: the packets are lost in network namespaces of their own.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image

HERE = Path(__file__).parent / "workloads"
SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")


def main() -> int:
    if os.geteuid() != 0:
        print("loading tracers needs root", file=sys.stderr)
        return 1
    with Object(image("packet_drops"), "packet_drops") as drops, Object(image("tcp_retransmits"), "retransmits") as tcp:
        drops.attach("on_drop")
        tcp.attach("on_retransmit")
        with timed_by_the_kernel():
            lose("drops")
            lose("retransmits")
        result = {
            "machine": {"kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]},
            "dropped": cost(drops.program_fd("on_drop")),
            "sent_again": cost(tcp.program_fd("on_retransmit")),
        }
    print(json.dumps(result, indent=1))
    return 0


def lose(what: str) -> None:
    subprocess.run(["unshare", "--net", sys.executable, str(HERE / "lossy.py"), what], check=True)


@contextmanager
def timed_by_the_kernel() -> Iterator[None]:
    before = SWITCH.read_text()
    SWITCH.write_text("1")
    try:
        yield
    finally:
        SWITCH.write_text(before)


def cost(fd: int) -> dict[str, float]:
    """How often a program ran, and for how long each time, from /proc/self/fdinfo."""
    info = dict(line.split(":\t") for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
    runs = int(info["run_cnt"])
    return {"runs": runs, "ns_each": round(int(info["run_time_ns"]) / runs, 1)}


if __name__ == "__main__":
    sys.exit(main())
