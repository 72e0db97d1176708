"""Collectors come before ordinary tasks where they may, and what they say has room until somebody reads it."""

import os
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.alone, pytest.mark.solitary]

COLLECT = [sys.executable, "-m", "kernelsight", "collect", "load"]


@pytest.mark.root
def test_collectors_of_root_run_before_ordinary_tasks_and_what_they_start_does_not():
    with subprocess.Popen(COLLECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline()
            assert os.sched_getscheduler(process.pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
            assert os.sched_getscheduler(process.pid) & os.SCHED_RESET_ON_FORK
        finally:
            process.terminate()


def test_lines_that_nobody_reads_hold_no_collector_up():
    reader, writer = os.pipe()
    with subprocess.Popen([*COLLECT, "memory", "vmstat", "--interval", "0.05"], stdout=writer) as process:
        os.close(writer)
        try:
            written = _until_full(reader, 80_000)
        finally:
            process.terminate()
            os.close(reader)
    assert written >= 80_000, "a pipe of the default size holds 64 KiB"


def _until_full(pipe: int, size: int) -> int:
    import fcntl
    import termios

    deadline = time.monotonic() + 20
    waiting = bytearray(4)
    while time.monotonic() < deadline:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        if int.from_bytes(waiting, sys.byteorder) >= size:
            break
        time.sleep(0.05)
    return int.from_bytes(waiting, sys.byteorder)
