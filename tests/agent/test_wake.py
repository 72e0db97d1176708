"""The agent sleeps, and is woken by what it should be woken by."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import msgspec
import pytest
from own_processes import HOST

from kernelsight.agent.wake import Wake
from kernelsight.events.anomaly import Anomaly
from kernelsight.stores.base import Batch, open_writer


@pytest.fixture
def stop():
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        os.close(fd)


def cpu_ms():
    return 1e3 * time.process_time()


def store(path, ahead_ns=0):
    writer = open_writer(str(path))
    batch = Batch()
    batch.events[Anomaly] = [msgspec.structs.astuple(Anomaly(time.time_ns() + ahead_ns, kind="shift"))]
    writer.write(batch)
    writer.close()


def test_it_is_told_to_stop(tmp_path, stop):
    with Wake(type(HOST)(proc=tmp_path), str(tmp_path / "db"), stop[0]) as wake:
        threading.Timer(0.2, os.write, (stop[1], b"x")).start()
        began = time.monotonic()
        assert wake.wait(60) == "stop"
        assert time.monotonic() - began < 30
        assert wake.wait(60, at_least=60) == "stop"


def test_sleeping_costs_next_to_nothing(tmp_path, stop):
    store(tmp_path / "db")
    with Wake(type(HOST)(proc=tmp_path), str(tmp_path / "db"), stop[0]) as wake:
        wake.wait(0.01)
        before = cpu_ms()
        assert wake.wait(1.0) == "timer"
        assert cpu_ms() - before < 20  # of 1000 ms


def test_news_of_others_wake_it(tmp_path, stop, monkeypatch):
    monkeypatch.setattr("kernelsight.agent.wake._NEWS_EVERY_S", 0.1)
    store(tmp_path / "db")
    with Wake(type(HOST)(proc=tmp_path), str(tmp_path / "db"), stop[0]) as wake:
        assert wake.wait(0.3) == "timer", "what was there before is no news"
        threading.Timer(0.2, store, (tmp_path / "db",)).start()
        assert wake.wait(30) == "news in anomalies"


def test_a_stall_wakes_it_where_the_kernel_takes_triggers(tmp_path, stop):
    """Two threads on one CPU: one of them always waits."""
    try:
        fd = os.open("/proc/pressure/cpu", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no pressure stall information: {error}")
    os.close(fd)
    program = (sys.executable, "-c", "while True: pass")
    cpu = min(os.sched_getaffinity(0))
    busy = [subprocess.Popen(["timeout", "15", "taskset", "-c", str(cpu), *program]) for _ in range(2)]
    try:
        with Wake(HOST, str(tmp_path / "db"), stop[0]) as wake:
            assert wake.wait(12) == "pressure on cpu"
    finally:
        for process in busy:
            process.terminate()
            process.wait()
