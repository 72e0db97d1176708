"""What our programs cost is told, and whoever measures it keeps no more power than that takes, and goes with us."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf_programs import Account, BpfProgramsCollector, parse_fdinfo
from kernelsight.collectors.damage import Damage, noted_in
from kernelsight.events.bpf_program import BpfProgram
from kernelsight.events.wire import decoder

COMMAND = [sys.executable, "-m", "kernelsight", "collect"]
PATIENCE_S = 30
CAP_SYS_ADMIN = 1 << 21


def test_fdinfo_is_read_line_by_line():
    text = b"pos:\t0\nflags:\t02000000\nprog_type:\t26\nmemlock:\t8192\nprog_id:\t77\nrun_time_ns:\t950\nrun_cnt:\t10\n"
    assert parse_fdinfo(text) == Account(77, 8192, 10, 950)
    assert parse_fdinfo(b"map_type:\t1\nmemlock:\t4096\n") == Account(None, 4096, 0, 0)
    assert parse_fdinfo(b"memlock:\tmany\nrun_cnt\n") == Account(None, 0, 0, 0)
    assert parse_fdinfo(b"") == Account(None, 0, 0, 0)


def test_a_line_that_is_not_read_is_no_damage():
    damage = Damage()
    with noted_in(damage):
        assert parse_fdinfo(b"map_extra:\t0x0\nmemlock:\t4096\n") == Account(None, 4096, 0, 0)
    assert damage.count == 0


def test_without_programs_there_are_no_rows():
    collector = BpfProgramsCollector(Host())
    assert isinstance(list(collector.collect(1)), list)
    collector.close()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def poll(condition):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about in time")


@pytest.mark.root
@pytest.mark.slow
def test_run_times_and_memory_of_each_program_are_rows():
    done = subprocess.run(
        [*COMMAND, "bpf_program", "syscall", "wait", "--duration", "8"], capture_output=True, check=True, timeout=60
    )
    rows = [event for event in decoder().decode_lines(done.stdout) if isinstance(event, BpfProgram)]
    measured = {row.program: row for row in rows if row.measured_ns is not None}
    switch = measured["on_switch"]
    assert switch.object == "threads"
    assert 0.9e9 < switch.measured_ns < 3e9
    assert switch.runs_per_s > 10
    assert 20 < switch.ns_per_run < 100_000
    assert switch.run_ns_per_s == pytest.approx(switch.runs_per_s * switch.ns_per_run, rel=0.01)
    assert switch.program_bytes >= 4096
    assert switch.maps_bytes > 100_000


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_child_that_switches_statistics_on_has_one_capability_and_ends_with_its_parent(number):
    with subprocess.Popen([*COMMAND, "bpf_program", "load"], stdout=subprocess.DEVNULL) as collect:
        try:
            [child] = poll(lambda: children(collect.pid))
            status = Path(f"/proc/{child}/status")
            poll(lambda: f"CapPrm:\t{CAP_SYS_ADMIN:016x}" in status.read_text())
            assert f"CapBnd:\t{CAP_SYS_ADMIN:016x}" in status.read_text()
            assert "NoNewPrivs:\t1" in status.read_text()
            poll(lambda: len([*Path(f"/proc/{child}/fd").iterdir()]) == 1)
            poll(lambda: "CapPrm:\t0000000000000000" in Path(f"/proc/{collect.pid}/status").read_text())
        finally:
            collect.send_signal(number)
    poll(lambda: not Path(f"/proc/{child}").exists() or "\nState:\tZ" in status.read_text())
