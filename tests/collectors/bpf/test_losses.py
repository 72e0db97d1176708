"""Nothing is lost without being counted, and nothing stays in the kernel when the collectors have gone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from ctypes import CDLL
from functools import partial
from pathlib import Path

import pytest
from observed import take

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf import process as process_tracer
from kernelsight.collectors.bpf import threads
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.process import TasksCollector
from kernelsight.collectors.bpf.scheduler import Scheduler
from kernelsight.collectors.bpf.syscall import Syscalls
from kernelsight.collectors.bpf.syscall_error import SyscallErrors
from kernelsight.collectors.bpf.wait import Waits
from kernelsight.events.collector import CollectorReport
from kernelsight.events.syscalls import Syscall, SyscallError
from kernelsight.events.wire import decoder

pytestmark = pytest.mark.root

COMMAND = [sys.executable, "-m", "kernelsight"]
EVERY_CALL = {"threshold_ms": 0, "include_waits": True}
MORE_THAN_FIT = 6000  # records of the ring buffer of slow calls: 512 KB, 112 bytes each
PATIENCE_S = 60


@pytest.fixture
def small_maps(monkeypatch):
    """Load the programs with maps of another size: the kernel's way of being full, sooner."""

    def shrink(module, **sizes):
        monkeypatch.setattr(module, "Object", partial(Object, max_entries=sizes))

    return shrink


def sleep_often(times):
    for _ in range(times):
        time.sleep(1e-6)


def test_a_full_ring_buffer_is_counted_and_works_again_when_it_was_read():
    with closing(Syscalls(Host(options=EVERY_CALL))) as syscalls:
        sleep_often(MORE_THAN_FIT)
        lost = syscalls.lost
        mine = [event for event in take([syscalls]) if event.tid == threading.get_native_id()]
        assert lost > 0
        # Nearly: a timer may go off before its thread has left the CPU, and that call never slept.
        assert 0 < len(mine) < 0.99 * MORE_THAN_FIT < len(mine) + syscalls.lost
        sleep_often(10)
        again = [event for event in take([syscalls]) if event.tid == threading.get_native_id()]
        assert "clock_nanosleep" in {event.syscall_name for event in again}


def test_waits_for_which_there_was_no_room_are_counted(small_maps):
    small_maps(threads, edges=2)
    with closing(Waits(Host(options={"threshold_ms": 9}))) as waits:
        children = [subprocess.Popen(["sleep", "0.05"]) for _ in range(5)]
        for child in children:
            child.wait()
        assert len(take([waits])) <= 2
        assert waits.lost > 0


def test_failed_calls_for_which_there_was_no_room_are_counted(small_maps):
    small_maps(threads, call_errors=1)
    with closing(SyscallErrors(Host(options={"threshold_ms": 8}))) as errors:
        full = os.open("/dev/full", os.O_WRONLY)
        for write in (os.write, lambda fd, data: os.pwrite(fd, data, 0), lambda fd, data: os.writev(fd, [data])):
            for _ in range(4):
                with suppress(OSError):
                    write(full, b"x")
        os.close(full)
        counted = sum(event.count for event in take([errors]) if isinstance(event, SyscallError))
        assert errors.lost >= 8
        assert counted + errors.lost >= 12


def test_children_for_which_there_was_no_room_are_counted(small_maps):
    small_maps(threads, families=1)
    with closing(Scheduler(Host(options={"threshold_ms": 7}))) as scheduler:
        for _ in range(4):
            subprocess.run(["sh", "-c", "sleep 0; sleep 0"], check=True)
        take([scheduler])
        assert scheduler.lost > 0


def test_processes_for_whose_threads_there_was_no_room_are_counted(small_maps):
    small_maps(process_tracer, unfinished=1)
    program = (
        "import threading; forever = threading.Event().wait; input()\n"
        "threading.Thread(target=forever).start(); print(flush=True); forever()"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    try:
        for child in children:  # the threads of all begin after all processes have: the list has them mixed
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
        with closing(TasksCollector(Host())) as collector:
            seen = {event.pid for event in collector.collect(time.time_ns())}
            assert os.getpid() in seen or collector.lost
            assert collector.lost >= len({child.pid for child in children} - seen) > 0
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_what_was_lost_reaches_the_reports_and_the_status(tmp_path):
    """The reader sleeps, so `collect` cannot write, so it does not read the ring buffer, which runs over."""
    options = [f"-o{name}={str(value).lower()}" for name, value in EVERY_CALL.items()]
    with subprocess.Popen([*COMMAND, "collect", "syscall", *options], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()  # it has begun
            sleep_often(2 * MORE_THAN_FIT)
            process.send_signal(signal.SIGTERM)
            output = process.stdout.read()
        finally:
            process.kill()
    events = decoder().decode_lines(output)
    last = [event for event in events if isinstance(event, CollectorReport)]
    assert any(isinstance(event, Syscall) for event in events)
    assert last, "the last report was not read"
    assert last[-1].lost > 0
    database = tmp_path / "kernelsight.db"
    ingest = [*COMMAND, "ingest", "--db-path", str(database)]
    subprocess.run(ingest, input=output, check=True, capture_output=True, timeout=PATIENCE_S)
    status = subprocess.run(
        [*COMMAND, "status", "--json", "--db-path", str(database)], check=True, capture_output=True, timeout=PATIENCE_S
    )
    (shown,) = json.loads(status.stdout)["collectors"]
    assert (shown["name"], shown["lost"]) == ("syscall", last[-1].lost)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_program_stays_in_the_kernel_however_collect_ends(how):
    with subprocess.Popen([*COMMAND, "collect"], stdout=subprocess.PIPE) as process:
        try:
            reader = threading.Thread(target=process.stdout.read)
            process.stdout.readline()
            reader.start()
            programs = loaded_by(process.pid)
            assert len(programs) > 10
            assert all(map(exists, programs))
            process.send_signal(how)
            process.wait(timeout=PATIENCE_S)
            reader.join()
        finally:
            process.kill()
    deadline = time.monotonic() + 30
    while any(map(exists, programs)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [program for program in programs if exists(program)]


def loaded_by(pid):
    """The ids of the BPF programs that a process holds."""
    found = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            found |= set(map(int, re.findall(r"^prog_id:\t(\d+)$", info.read_text(), re.MULTILINE)))
    return found


def exists(program):
    """Whether the kernel still has it (BPF_PROG_GET_FD_BY_ID)."""
    fd = CDLL("libbpf.so.1").bpf_prog_get_fd_by_id(program)
    if fd >= 0:
        os.close(fd)
    return fd >= 0
