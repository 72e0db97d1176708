"""What the screen of `kernelsight top` costs at one look a second, as a share of one CPU.

python benchmarks/top.py [--seconds 30] [--rows 24] [--columns 80]

It runs the system into a database of its own and `kernelsight top` in a terminal of its own beside it, and prints for
each view the CPU time that the screen used (all its threads, user and system, from /proc), after it has come up.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

from kernelsight.surfaces.top.views import VIEWS

COMES_UP_S = 8.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each view")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--views", default="1", help="keys of the views, such as 1358")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kernelsight-top-") as folder:
        database = str(Path(folder) / "top.db")
        program = [sys.executable, "-m", "kernelsight"]
        system = subprocess.Popen(
            [*program, "start", "--no-agent", "--db-path", database],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(COMES_UP_S)
            print(json.dumps(measured([*program, "top", "--db-path", database], arguments), indent=1))
        finally:
            system.send_signal(signal.SIGINT)
            system.wait(60)
    return 0


def measured(command: list[str], arguments: argparse.Namespace) -> dict[str, object]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", arguments.rows, arguments.columns, 0, 0))
    written: list[int] = []
    reader = threading.Thread(target=drain, args=(terminal, written), daemon=True)
    reader.start()
    try:
        time.sleep(COMES_UP_S)
        shares = {}
        for key in arguments.views:
            os.write(terminal, key.encode())
            time.sleep(2.0)
            before, began = cpu_s(pid), time.monotonic()
            time.sleep(arguments.seconds)
            name = next(view.name for view in VIEWS if view.key == key)
            shares[name] = round(100 * (cpu_s(pid) - before) / (time.monotonic() - began), 2)
        return {"percent_of_a_cpu": shares, "size": f"{arguments.columns}x{arguments.rows}", "rss_kb": rss_kb(pid)}
    finally:
        os.write(terminal, b"q")
        os.waitpid(pid, 0)


def drain(terminal: int, written: list[int]) -> None:
    try:
        while data := os.read(terminal, 65_536):
            written.append(len(data))
    except OSError:
        return  # the screen has been closed


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


if __name__ == "__main__":
    sys.exit(main())
