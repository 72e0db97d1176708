"""The real thing: `kernelsight collect` on the machine that runs the tests, against /proc read before and after."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from moments import Moments
from recordings import NAMES, NOW

from kernelsight.collectors.base import Host, list_collectors, open_best
from kernelsight.collectors.procfs.pressure import PressureCollector
from kernelsight.collectors.sysfs.block import BlockCollector
from kernelsight.events.collector import CollectorReport
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.network import Network
from kernelsight.events.scheduler import Cpu, Load
from kernelsight.events.tcp import TcpRetransmit
from kernelsight.events.wire import decoder, kinds

pytestmark = [pytest.mark.alone, pytest.mark.solitary]

SECOND = 1_000_000_000
COLLECT = (sys.executable, "-c", "from kernelsight.surfaces.cli.main import main; main()", "collect")
EVERYTHING = (*NAMES, "filesystem")


def runnable() -> list[str]:
    """The collectors that can run here: a container may lack pressure or block devices."""
    listed = {one.registered.name for one in list_collectors(Host()) if one.available}
    return [name for name in EVERYTHING if name in listed]


def growing() -> dict[str, int]:
    """Counters that only grow, read by other means than the collectors'."""
    stat = dict(line.split(None, 1) for line in Path("/proc/stat").read_text().splitlines())
    vmstat = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Tcp:")
    loopback = Path("/sys/class/net/lo/statistics")
    return {
        "context_switches": int(stat["ctxt"]),
        "forks": int(stat["processes"]),
        "user": int(stat["cpu"].split()[0]),
        "pgfault": int(vmstat["pgfault"]),
        "in_segs": int(values[names.index("InSegs")]),
        "rx_bytes": int((loopback / "rx_bytes").read_text()),
        "rx_packets": int((loopback / "rx_packets").read_text()),
    }


def growing_events(events) -> dict[str, int]:
    machine = next(event for event in events if isinstance(event, Cpu) and event.cpu == -1)
    loopback = next(event for event in events if isinstance(event, Network) and event.interface_name == "lo")
    return {
        "context_switches": machine.context_switches,
        "forks": machine.forks,
        "user": machine.user,
        "pgfault": next(event for event in events if isinstance(event, Vmstat)).pgfault,
        "in_segs": next(event for event in events if isinstance(event, TcpRetransmit)).in_segs,
        "rx_bytes": loopback.rx_bytes,
        "rx_packets": loopback.rx_packets,
    }


@pytest.fixture(scope="module")
def collected():
    """Three seconds of all, with what /proc said just before and after; decoded strictly."""
    before, began = growing(), time.time_ns()
    done = subprocess.run([*COLLECT, *runnable(), "--duration", "3"], capture_output=True, timeout=60, check=True)
    assert done.stdout.endswith(b"\n")
    return before, decoder().decode_lines(done.stdout), growing(), (began, time.time_ns())


def test_three_seconds_have_three_samples_of_everything_on_one_grid(collected):
    _, events, _, (began, ended) = collected
    samples = [event for event in events if not isinstance(event, CollectorReport)]
    stamps = sorted({event.timestamp for event in samples})
    assert len(stamps) + missed(events) == 3
    apart = [late - early for early, late in pairwise(stamps)]
    assert all(abs(ns - round(ns / SECOND) * SECOND) < SECOND // 100 for ns in apart)
    assert began <= stamps[0] <= stamps[-1] <= ended
    seen = Counter(type(event).__struct_config__.tag for event in samples if not isinstance(event, Cpu | Network))
    for kind in ("memory", "vmstat", "load", "tcp", "tcp_retransmit"):
        assert seen[kind] == len(stamps)


def missed(events):
    """The grid points that a busy machine let none of the collectors come to."""
    return next(event.missed for event in events[::-1] if isinstance(event, CollectorReport))


def test_counters_lie_between_what_proc_said_before_and_after(collected):
    before, events, after, _ = collected
    first, last = growing_events(events), growing_events(events[::-1])
    for name, value in before.items():
        assert value <= first[name] <= last[name] <= after[name], name


def test_levels_are_those_of_free_and_loadavg(collected):
    _, events, _, _ = collected
    memory = [event for event in events if isinstance(event, Memory)][-1]
    said = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text().splitlines())
    assert memory.mem_total_kb == int(said["MemTotal:"])
    assert memory.swap_total_kb == int(said["SwapTotal:"])
    assert memory.mem_free_kb <= memory.mem_total_kb
    assert abs(memory.mem_available_kb - int(said["MemAvailable:"])) < memory.mem_total_kb / 2
    load = [event for event in events if isinstance(event, Load)][-1]
    assert 0 < load.running_processes <= load.total_processes


def test_every_kind_that_a_collector_yields_is_declared_as_its_own(collected):
    _, events, _, _ = collected
    for name in runnable():
        entry, collector = open_best(name, Host())
        assert {type(event) for event in collector.collect(NOW)} <= set(entry.emits)
        collector.close()
    assert {type(event).__struct_config__.tag for event in events} <= set(kinds())


def test_the_first_and_the_last_report_account_for_every_event(collected):
    _, events, _, _ = collected
    reports = [event for event in events if isinstance(event, CollectorReport)]
    written = sum(not isinstance(event, CollectorReport) for event in events)
    last = {report.name: report for report in reports}
    assert sum(report.events for report in last.values()) == written
    ran = {(report.status, report.runs + report.missed, report.failures) for report in last.values()}
    assert ran == {("running", 3, 0)}


@contextmanager
def collecting(*arguments: str, **ends: int) -> Iterator[subprocess.Popen[bytes]]:
    """A running `kernelsight collect`, that does not outlive its test."""
    with subprocess.Popen([*COLLECT, *arguments], **ends) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_whole_lines_and_a_last_report(number):
    with collecting("load", "cpu", stdout=subprocess.PIPE) as running:
        first = running.stdout.readline()
        running.send_signal(number)
        rest, _ = running.communicate(timeout=30)
        assert running.returncode == 0
    events = decoder().decode_lines(first + rest)
    assert [event.name for event in events[-2:]] == ["load", "cpu"]


def test_a_signal_ends_it_while_its_reader_sleeps():
    reader, writer = os.pipe()
    with collecting("cpu", "memory", "vmstat", "--interval", "0.01", stdout=writer) as running:
        deadline = time.monotonic() + 60
        while select.select([], [writer], [], 0)[1]:  # until the pipe is full
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=30)
    os.close(writer)
    output = b""
    while chunk := os.read(reader, 1 << 20):
        output += chunk
    os.close(reader)
    assert decoder().decode_lines(output)
    assert output.endswith(b"\n")


def test_a_reader_that_leaves_ends_it_quietly():
    with collecting("load", "--interval", "0.05", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.readline()
        running.stdout.close()
        running.wait(timeout=30)
        assert running.stderr.read() == b""
        assert running.returncode == 0


def test_collectors_leave_no_descriptor_open():
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    for name in runnable():
        _, collector = open_best(name, Host())
        list(collector.collect(NOW))
        collector.close()
        collector.close()
    after = {path.name for path in Path("/proc/self/fd").iterdir()}
    assert len(after) == len(before)


@pytest.mark.root
def test_a_device_that_is_replugged_under_its_name_is_read_again():
    control = Path("/sys/class/zram-control")
    if os.geteuid() or not os.access(control / "hot_add", os.R_OK):
        pytest.skip("needs root and the zram module: modprobe zram")
    number = (control / "hot_add").read_text().strip()
    name = f"zram{number}"
    collector = BlockCollector(Host())
    try:
        use_disk(name)
        assert device(collector, name).write_ios > 0
        (control / "hot_remove").write_text(number)
        assert (control / "hot_add").read_text().strip() == number
        assert device(collector, name) is None  # a new one, which has done nothing yet
        use_disk(name)
        assert device(collector, name).write_ios > 0
        (control / "hot_remove").write_text(number)
        assert device(collector, name) is None
    finally:
        collector.close()
        if Path("/sys/block", name).exists():
            (control / "hot_remove").write_text(number)


def use_disk(name: str) -> None:
    Path("/sys/block", name, "disksize").write_text("1M")
    deadline = time.monotonic() + 30
    while not Path("/dev", name).exists():
        if time.monotonic() > deadline:
            pytest.skip(f"nothing makes /dev/{name} here")
        time.sleep(0.01)
    with Path("/dev", name).open("wb", buffering=0) as disk:
        disk.write(bytes(4096))
        os.fsync(disk.fileno())


def device(collector: BlockCollector, name: str):
    return next((event for event in collector.collect(NOW) if event.device_name == name), None)


@pytest.mark.root
def test_a_cgroup_that_comes_and_goes_is_found_and_forgotten():
    root = next((path for path in map(Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"))
                 if (path / "cgroup.controllers").exists()), None)  # fmt: skip
    if os.geteuid() or root is None or not (root / "cpu.pressure").exists():
        pytest.skip("needs root and a cgroup v2 hierarchy with pressure")
    moments = Moments()
    collector = PressureCollector(Host(monotonic_ns=moments))
    group = root / f"kernelsight-test-{os.getpid()}"
    scope = f"/{group.name}"
    try:
        scopes(collector, moments.at(NOW))
        group.mkdir()
        assert scope not in scopes(collector, moments.at(NOW + SECOND))  # looked for every ten seconds
        assert scope in scopes(collector, moments.at(NOW + 11 * SECOND))
        assert scope not in scopes(collector, moments.at(NOW + 12 * SECOND))  # it has not moved
        group.rmdir()
        assert scope not in scopes(collector, moments.at(NOW + 13 * SECOND))
        assert scope not in collector._groups
    finally:
        collector.close()
        if group.exists():
            group.rmdir()


def scopes(collector: PressureCollector, now: int) -> set[str | None]:
    return {event.scope for event in collector.collect(now)}


AS_NOBODY = """
import os, sys, threading
from kernelsight.collectors.base import Host, registered
from kernelsight.collectors.runner import run
registered()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
names = sys.argv[1:]
sys.exit(run(names, Host(), interval_s=0.1, duration_s=0.3, out=1, stop=threading.Event(), log=sys.stderr))
"""


@pytest.mark.root
def test_a_user_who_is_not_root_gets_all_that_is_readable():
    if os.geteuid():
        pytest.skip("needs root, to become another user; for that user the tests above say it")
    names = runnable()
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, *names], capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    reports = [event for event in decoder().decode_lines(done.stdout) if isinstance(event, CollectorReport)]
    assert {(report.name, report.status) for report in reports} == {(name, "running") for name in names}
