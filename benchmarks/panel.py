"""What `kernelsight start` costs for showing how it goes: CPU of the supervisor alone, on a terminal and piped.

    python benchmarks/panel.py [--rounds 3] [--seconds 20]

Prints one JSON object. The collectors run as they do by default; their cost is that of `benchmarks/collectors.py`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "kernelsight", "start", "--agent-interval", "10", "--db-path"]
SETTLING_S = 8.0


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drain(descriptor: int, seconds: float) -> None:
    """Read what the program prints, as a terminal does."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            os.read(descriptor, 65536)


def share(seconds: float, *, on_terminal: bool) -> float:
    """Per cent of one core that the supervisor takes."""
    with tempfile.TemporaryDirectory(prefix="kernelsight-panel-") as folder:
        ours, theirs = pty.openpty() if on_terminal else os.pipe()
        if on_terminal:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [*COMMAND, str(Path(folder) / "k.db")],
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(theirs)
        try:
            drain(ours, SETTLING_S)
            before = cpu_seconds(process.pid)
            drain(ours, seconds)
            used = cpu_seconds(process.pid) - before
        finally:
            process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                try:
                    drain(ours, 0.2)
                except OSError:  # the other end is closed
                    process.wait()
            os.close(ours)
    return 100 * used / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    shares = {"terminal": [], "piped": []}
    for _ in range(arguments.rounds):
        for way, found in shares.items():
            found.append(share(arguments.seconds, on_terminal=way == "terminal"))
    result = {f"{way}_percent_of_a_core": round(statistics.median(found), 3) for way, found in shares.items()}
    print(json.dumps({"rounds": arguments.rounds, "seconds": arguments.seconds, **result}, indent=2))


if __name__ == "__main__":
    main()
