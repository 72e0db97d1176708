"""Delays of processes through taskstats."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.netlink.taskstats import Delays, TaskstatsClient, parse_answer
from kernelsight.collectors.procfs.process import ProcessCollector
from kernelsight.errors import SourceUnavailableError

SWITCH = Path("/proc/sys/kernel/task_delayacct")
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
WANTED = Delays(3, 30, 50, 70, 90, 11, 12, 13, 14)


@pytest.fixture
def client():
    try:
        client = TaskstatsClient()
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    yield client
    client.close()


def answer(version, length, fields):
    """An answer as the kernel lays it out: headers, the group's id, then the statistics."""
    stats = bytearray(length)
    struct.pack_into("=H", stats, 0, version)
    for offset, value in fields.items():
        if offset + 8 <= length:
            struct.pack_into("=Q", stats, offset, value)
    inner = struct.pack("=HHI", 8, 2, 77) + struct.pack("=HH", 4 + length, 3) + bytes(stats)
    payload = struct.pack("=BBH", 2, 1, 0) + struct.pack("=HH", 4 + len(inner), 5) + inner
    return struct.pack("=IHHII", 16 + len(payload), 31, 0, 77, 0) + payload


USUAL = {16: 3, 24: 30, 40: 50, 56: 70, 72: 90, 272: 11, 280: 12, 320: 13, 336: 14}
WITH_EXTREMES_BETWEEN = {16: 3, 24: 30, 56: 50, 88: 70, 120: 90, 320: 11, 328: 12, 368: 13, 400: 14}


@pytest.mark.parametrize(
    ("version", "length", "fields"),
    [(10, 352, USUAL), (13, 416, USUAL), (14, 432, USUAL), (15, 560, WITH_EXTREMES_BETWEEN), (16, 560, USUAL)],
)
def test_every_version_of_the_structure_is_understood(version, length, fields):
    assert parse_answer(answer(version, length, fields)) == (77, WANTED)


def test_fields_that_an_old_version_lacks_are_unknown():
    assert parse_answer(answer(8, 328, USUAL)) == (77, WANTED._replace(thrashing_delay_ns=None))


def test_an_answer_that_is_an_error_or_cut_short_says_nothing():
    whole = answer(14, 432, USUAL)
    for end in range(16, len(whole)):
        assert parse_answer(whole[:end]) == (77, None)
    refused = struct.pack("=IHHIIi", 36, 2, 0, 77, 0, -3) + b"\0" * 16
    assert parse_answer(refused) == (77, None)


def test_the_time_on_a_cpu_is_that_of_all_threads_though_none_is_switched_out(client):
    spins = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-S", "-c", spins]) as child:

        def ran_ns():
            texts = [file.read_text() for file in Path(f"/proc/{child.pid}/task").glob("*/schedstat")]
            return len(texts), sum(int(text.split()[0]) for text in texts)

        try:
            deadline = time.monotonic() + 20
            while ran_ns()[0] < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            for _ in range(3):
                (_, before), said, (_, after) = ran_ns(), client.ask([child.pid])[child.pid].ran_ns, ran_ns()
                assert 0 < before <= said <= after
                while ran_ns()[1] == after and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert client.ask([child.pid])[child.pid].ran_ns > said
        finally:
            child.kill()


def test_the_wait_for_a_cpu_is_what_schedstat_says(client):
    with subprocess.Popen(["sleep", "600"]) as child:
        try:
            deadline = time.monotonic() + 20
            while True:
                before = Path(f"/proc/{child.pid}/schedstat").read_text()
                said = client.ask([child.pid])[child.pid]
                if before == Path(f"/proc/{child.pid}/schedstat").read_text():
                    break
                assert time.monotonic() < deadline
            assert (said.cpu_delay_ns, said.runs) == tuple(map(int, before.split()[1:]))
        finally:
            child.kill()


def test_hundreds_are_asked_at_once_and_those_that_ended_are_left_out(client):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    alive = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    said = client.ask([os.getpid(), ended.pid] * 200 + alive)
    assert said[os.getpid()].runs > 0
    assert ended.pid not in said


@root
@pytest.mark.skipif(not SWITCH.exists(), reason="delay accounting has no switch in this kernel")
def test_the_switch_is_turned_on_when_asked_and_put_back():
    before = SWITCH.read_text()
    SWITCH.write_text("0")
    try:
        plain = ProcessCollector(Host())
        assert SWITCH.read_text() == "0\n"
        assert any("task_delayacct is 0" in reason for reason in plain.limitations)
        assert {event.blkio_delay_ns for event in plain.collect(time.time_ns())} == {None}
        plain.close()

        collector = ProcessCollector(Host(options={"enable_delayacct": True}))
        assert SWITCH.read_text() == "1\n"
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            time.sleep(0.02)  # a process belongs to the tick it started in; the switch to the one after
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as young:
                events = {event.pid: event for event in collector.collect(time.time_ns())}
                young.communicate(b"\n")
            child.communicate(b"\n")
        assert events[young.pid].blkio_delay_ns is not None
        assert events[young.pid].reclaim_delay_ns is not None
        assert events[os.getpid()].blkio_delay_ns is None  # it started before anybody counted
        assert events[os.getpid()].cpu_delay_ns > 0
        collector.close()
        collector.close()
        assert SWITCH.read_text() == "0\n"
    finally:
        SWITCH.write_text(before)
