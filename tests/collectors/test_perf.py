"""Perf counters: parsing and scaling by themselves, counting against /proc/stat and own programs."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.perf import Extrapolation, PerfCollector, Reading, parse_cpu_list, parse_reading
from kernelsight.errors import SourceUnavailableError

pytestmark = pytest.mark.alone

NOW = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3\n", [0, 1, 2, 3]), ("0,2-3,7\n", [0, 2, 3, 7]), ("5\n", [5]), ("\n", [])]
)
def test_cpu_lists_of_the_kernel(text, cpus):
    assert parse_cpu_list(text) == cpus


def test_a_reading_has_times_and_values():
    assert parse_reading(struct.pack("=5Q", 2, 100, 50, 7, 8), 2) == Reading(100, 50, (7, 8))


@pytest.mark.parametrize("data", [b"", b"\0" * 7, struct.pack("=4Q", 1, 100, 50, 7)])
def test_a_reading_cut_short_is_no_reading(data):
    assert parse_reading(data, 2) is None


def test_a_counter_that_ran_half_the_time_is_doubled_and_says_so():
    counted = Extrapolation.of(2)
    assert counted.add(Reading(100, 50, (10, 20))) == 0.5
    assert counted.totals == [20, 40]


def test_scaling_never_makes_a_counter_run_backwards():
    counted = Extrapolation.of(1)
    counted.add(Reading(100, 1, (10,)))  # a guess from 1 %
    before = counted.totals[0]
    counted.add(Reading(200, 101, (20,)))  # scaled as a whole it would be 39
    assert counted.totals[0] == before + 10


def test_an_interval_without_any_counting_is_made_up_for():
    counted = Extrapolation.of(1)
    counted.add(Reading(100, 100, (10,)))
    assert counted.add(Reading(200, 100, (10,))) == 0.0
    assert counted.totals == [10]
    assert counted.add(Reading(300, 200, (20,))) == 0.5
    assert counted.totals == [30]


def _host(tmp_path: Path, online: str) -> Host:
    cpu = tmp_path / "devices/system/cpu"
    cpu.mkdir(parents=True, exist_ok=True)
    (cpu / "online").write_text(online)
    return Host(sys=tmp_path)


def _context_switches() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line[:4] == "ctxt")


def _ping_pong(rounds: int) -> None:
    """Switch between two processes on one CPU, twice a round."""
    there, back = os.pipe(), os.pipe()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    child = os.fork()
    if child == 0:
        for _ in range(rounds):
            os.read(there[0], 1)
            os.write(back[1], b"x")
        os._exit(0)
    for _ in range(rounds):
        os.write(there[1], b"x")
        os.read(back[0], 1)
    os.waitpid(child, 0)
    os.sched_setaffinity(0, allowed)
    for fd in (*there, *back):
        os.close(fd)


@pytest.mark.root
def test_context_switches_are_those_of_proc_stat():
    counters = PerfCollector(Host())
    try:
        outer = _context_switches()
        first = sum(event.context_switches for event in counters.collect(NOW))
        inner = _context_switches()
        _ping_pong(5_000)
        inner = _context_switches() - inner
        counted = sum(event.context_switches for event in counters.collect(NOW)) - first
        outer = _context_switches() - outer
    finally:
        counters.close()
    assert inner >= 10_000
    assert inner <= counted <= outer


@pytest.mark.root
def test_every_page_that_is_touched_is_a_fault():
    pages = 2_000
    counters = PerfCollector(Host())
    try:
        first = sum(event.page_faults for event in counters.collect(NOW))
        with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            for page in range(pages):
                memory[page * mmap.PAGESIZE] = 1
        counted = sum(event.page_faults for event in counters.collect(NOW)) - first
    finally:
        counters.close()
    assert counted >= pages


@pytest.mark.root
def test_a_cpu_that_goes_offline_has_no_rows_and_goes_on_when_it_is_back(tmp_path):
    counters = PerfCollector(_host(tmp_path, "0-1\n"))
    try:
        before = {event.cpu: event.task_clock for event in counters.collect(NOW)}
        _host(tmp_path, "0\n")
        assert [event.cpu for event in counters.collect(NOW)] == [0]
        _host(tmp_path, "0-1\n")
        after = {event.cpu: event.task_clock for event in counters.collect(NOW)}
    finally:
        counters.close()
    assert before.keys() == after.keys() == {0, 1}
    assert after[1] >= before[1]


@pytest.mark.root
def test_hardware_counters_are_counted_or_null_never_zero_by_default():
    counters = PerfCollector(Host())
    try:
        _ping_pong(100)
        events = list(counters.collect(NOW))
    finally:
        counters.close()
    has_pmu = any(Path("/sys/bus/event_source/devices").glob("cpu*"))
    assert len(events) == os.cpu_count()
    assert all((event.cycles is not None) == has_pmu for event in events)
    assert all(event.scaling is not None for event in events)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.root
def test_closing_gives_all_descriptors_back():
    before = _descriptors()
    counters = PerfCollector(Host())
    assert _descriptors() > before
    counters.close()
    counters.close()
    assert _descriptors() == before


@pytest.mark.root
@pytest.mark.skipif(
    int(Path("/proc/sys/kernel/perf_event_paranoid").read_text()) < 1, reason="everybody may count whole CPUs here"
)
def test_a_user_who_may_not_is_told_what_to_do():
    script = (
        "import os\nfrom kernelsight.collectors.base import Host\n"
        "from kernelsight.collectors.perf import PerfCollector\n"
        "from kernelsight.errors import SourceUnavailableError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    PerfCollector(Host())\nexcept SourceUnavailableError as error:\n    print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "CAP_PERFMON" in told.stdout
    assert "perf_event_paranoid" in told.stdout


def test_a_machine_without_sysfs_says_so(tmp_path):
    with pytest.raises(SourceUnavailableError, match="sysfs"):
        PerfCollector(Host(sys=tmp_path))
