"""Makes entities without end, in the namespaces that it is started in: `flood.py KIND COUNT`; says `ready`, and stays.

Kinds: mounts, interfaces, sockets, processes, fork_loop. It ends when its standard input does.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LOOP = "while :; do (: | : | :); done"


def make_mounts(count: int) -> None:
    """So many small tmpfs."""
    folder = Path(tempfile.mkdtemp(prefix="flood"))
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    (folder / "fstab").write_text("".join(f"none {folder}/{n} tmpfs size=4k 0 0\n" for n in range(count)))
    for n in range(count):
        (folder / str(n)).mkdir()
    subprocess.run(["mount", "-a", "-T", folder / "fstab"], check=True)


def make_interfaces(count: int) -> None:
    """So many ends of veth pairs."""
    lines = "".join(f"link add k{n} type veth peer name p{n}\n" for n in range(count // 2))
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def make_sockets(count: int) -> list[socket.socket]:
    """So many UDP sockets, each with something to read."""
    sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
        one.sendto(b"x", one.getsockname())
    return sockets


def make_processes(count: int) -> None:
    """So many processes, each of which does hardly anything every second."""
    for _ in range(count):
        if os.fork() == 0:
            while True:
                time.sleep(0.9)


def make_fork_loop(count: int) -> None:
    """So many shells, each of which starts processes as fast as it can."""
    for _ in range(count):
        subprocess.Popen(["sh", "-c", LOOP], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


MAKERS = {
    "mounts": make_mounts,
    "interfaces": make_interfaces,
    "sockets": make_sockets,
    "processes": make_processes,
    "fork_loop": make_fork_loop,
}

if __name__ == "__main__":
    kept = MAKERS[sys.argv[1]](int(sys.argv[2]))
    print("ready", flush=True)
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    sys.stdin.read()
