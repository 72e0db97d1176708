"""Both sources of the process events say the same of a quiet process."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from moments import NOW, Moments

from kernelsight.collectors import executables
from kernelsight.collectors.base import Host, registered
from kernelsight.collectors.procfs import process
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.process import Process

QUIET = (
    "import socket, sys, threading\n"
    "sockets = [socket.socket(), socket.socket(socket.AF_UNIX), *socket.socketpair()]\n"
    "stop = threading.Event()\n"
    "for _ in range(int(sys.argv[1])): threading.Thread(target=stop.wait, daemon=True).start()\n"
    "memory = b'x' * 5_000_000\n"
    "open(sys.argv[2], 'wb').write(memory)\n"
    "sum(range(3_000_000))\n"
    "print('quiet', flush=True)\n"
    "sys.stdin.read()\n"
)
MOMENTS = count(NOW, 10**12)
"""So far apart that every process is due, with all that is counted seldom."""
COARSE_MS = {"utime_ms", "stime_ms"}
"""/proc counts these in ticks of 10 ms."""
NOT_BOTH = {"timestamp", "frozen"}
"""/proc does not tell a frozen process from one that sleeps."""


@pytest.fixture(scope="module")
def sources():
    moments = Moments()
    host, opened = Host(monotonic_ns=moments), {}
    for entry in registered()["process"]:
        try:
            opened[entry.source] = entry.factory(host)
        except SourceUnavailableError as error:
            for collector in opened.values():
                collector.close()
            pytest.skip(f"{entry.source}: {error}")
    yield moments, opened
    for collector in opened.values():
        collector.close()


@pytest.mark.root
@pytest.mark.parametrize("threads", [0, 3])
def test_a_quiet_process_is_the_same_from_every_source(sources, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_LINKS_A_RUN", 10**6)  # however many descriptors others have
    monkeypatch.setattr(executables, "_LINKS_A_RUN", 10**6)  # and however many processes
    moments, sources = sources
    command = [sys.executable, "-c", QUIET, str(threads), str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"quiet\n"
        schedstat = Path(f"/proc/{child.pid}/schedstat")
        deadline = time.monotonic() + 20
        while True:
            before = schedstat.read_text()
            now = moments.at(next(MOMENTS))
            said = {name: find(source, child.pid, now) for name, source in sources.items()}
            counted = all(event and event.sockets is not None for event in said.values())
            if before == schedstat.read_text() and counted:
                break
            assert time.monotonic() < deadline
        child.stdin.close()
    procfs = said.pop("procfs")
    for name, other in said.items():
        for column in Process.__struct_fields__:
            if column in NOT_BOTH:
                continue
            mine, theirs = getattr(procfs, column), getattr(other, column)
            if column in COARSE_MS:
                assert abs(mine - theirs) <= 10, (name, column)
            else:
                assert mine == theirs, (name, column)


def find(source, pid, now):
    return next((event for event in source.collect(now) if event.pid == pid), None)
