"""Page faults: a program that makes known ones, and what the kernel and its own clock say of them."""

import json
import os
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from described import filler, types_of
from observed import take, within

from kernelsight.collectors.base import Host, open_best, registered
from kernelsight.collectors.bpf.cpu_events import CpuEvents, Trigger
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.page_faults import EVERY, FAULTS, MAJORS, NONE, TIMING_NS, Counting, Pace, access
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.memory import PageFault, PageFaultStats

MS = 1_000_000
NOW = 1_800_000_000_000_000_000
SOURCES = ("fexit", "fentry", "tracepoint", "kprobe", "perf")
PAGE = 4096
RECORD_ALL = {"fault_threshold_ms": 0}
RECORD_NONE = {"fault_threshold_ms": 1e6, "fault_samples_per_s": 0}


@pytest.fixture(scope="module")
def program(compile_c):
    return compile_c("faults")


class Orders:
    """The program, which does what it is told."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.give("write 1")

    def give(self, order):
        """What it says of an order."""
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        """Let it end; what the kernel counted of it in all."""
        if self.process.returncode is not None:
            return None
        self.process.stdin.close()
        self.process.stdout.close()
        _, status, usage = os.wait4(self.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        assert self.process.returncode == 0
        return usage


@pytest.fixture
def orders(program):
    started = Orders(program)
    yield started
    started.end()


@pytest.fixture(params=SOURCES)
def opened(request):
    """Opens the collector with one of its sources."""
    collectors = []

    def open_it(**options):
        (entry,) = [entry for entry in registered()["page_faults"] if entry.source == request.param]
        try:
            collector = entry.factory(Host(options=options))
        except SourceUnavailableError as error:
            pytest.skip(f"{request.param}: {error}")
        collectors.append(collector)
        collector._pace.bearable_ns = 1e15  # whatever else the machine does
        return collector

    yield open_it
    for collector in collectors:
        collector.close()


def observed(collector, orders, order):
    """What an order did: what the program says of it, and the faults and the counts of the collector."""
    orders.give(order)  # what it needs besides is there from now on
    for _ in range(5):
        take([collector])
        lost = collector.lost
        said = orders.give(order)
        events = [event for event in take([collector]) if event.pid == said["pid"]]
        if collector.lost == lost:  # else all the machine's faults together found the ring full
            break
    faults = [event for event in events if isinstance(event, PageFault)]
    there = [event for event in faults if 0 <= event.address - said["from"] < 1 << 30]
    (stats,) = [event for event in events if isinstance(event, PageFaultStats)]
    return said, there, stats


def agree(faults, took_ns):
    """Whether faults took as long as by the program's clock, which has the way into the kernel and out of it, too.

    On that way it may have to leave its CPU to others, on a busy machine, so not all can agree.
    """
    assert all(fault.latency_ns <= took for fault, took in zip(faults, took_ns, strict=True))
    good = [within(f.latency_ns, took, share=0.02, slack=20_000) for f, took in zip(faults, took_ns, strict=True)]
    return sum(good) >= len(good) * 3 / 4


@pytest.mark.root
@pytest.mark.parametrize("order", ["write 1000", "read 333", "kernel-reads 50", "execute 1"])
def test_a_program_that_touches_so_many_pages_has_so_many_minor_faults(opened, orders, order):
    said, _, stats = observed(opened(**RECORD_NONE), orders, order)
    assert stats.minor_faults == said["minor"] == int(order.split()[1])
    assert stats.major_faults == said["major"] == 0
    assert stats.comm == "faults"


@pytest.mark.root
@pytest.mark.parametrize(
    ("order", "kind", "user"),
    [
        ("write 100", "write", True),
        ("read 100", "read", True),
        ("execute 1", "exec", True),
        ("kernel-reads 20", "read", False),
        ("kernel-writes 20", "write", False),
    ],
)
def test_each_fault_says_where_how_and_by_whom(opened, orders, order, kind, user):
    collector = opened(**RECORD_ALL)
    said, faults, _ = observed(collector, orders, order)
    count = int(order.split()[1])
    assert [fault.address // PAGE * PAGE for fault in faults] == [said["from"] + i * PAGE for i in range(count)]
    silent = any("access_type" in sentence for sentence in collector.limitations)
    assert {fault.access_type for fault in faults} == {None if silent else kind}
    assert {(fault.user_mode, fault.fault_type, fault.tid, fault.comm) for fault in faults} == {
        (user, "minor", orders.pid, "faults")
    }
    assert {fault.cpu for fault in faults} <= set(range(os.cpu_count()))
    assert all(abs(fault.timestamp - time.time_ns()) < 60e9 for fault in faults)


@pytest.mark.root
def test_faults_last_as_long_as_the_program_waited(opened, orders):
    said, faults, stats = observed(opened(**RECORD_ALL), orders, "write 200")
    assert agree(faults, said["took_ns"])
    assert all(fault.latency_ns > 0 for fault in faults)
    assert stats.minor_faults == 200
    assert stats.fault_ns == sum(fault.latency_ns for fault in faults)
    assert stats.max_latency_ns == max(fault.latency_ns for fault in faults)


@pytest.fixture
def on_disk(tmp_path):
    """A file whose pages can be dropped."""
    number = tmp_path.stat().st_dev
    if not Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").exists():
        pytest.skip(f"{tmp_path} is not on a block device")
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(os.urandom(64 * PAGE))
        file.flush()
        os.fsync(file.fileno())
    return path


@pytest.mark.root
def test_pages_that_have_to_be_read_from_the_disk_are_major_faults(opened, orders, on_disk):
    said, faults, stats = observed(opened(**RECORD_ALL), orders, f"disk 64 {on_disk}")
    assert said["major"] == 64
    assert (stats.minor_faults, stats.major_faults) == (0, 64)
    assert [fault.address for fault in faults] == [said["from"] + i * PAGE for i in range(64)]
    assert {fault.fault_type for fault in faults} == {"major"}
    assert agree(faults, said["took_ns"])
    assert stats.fault_ns == sum(fault.latency_ns for fault in faults)
    assert stats.max_latency_ns == max(fault.latency_ns for fault in faults)


@pytest.mark.root
def test_a_fault_that_another_thread_answers_after_20_ms_lasts_20_ms(opened, orders):
    collector = opened(fault_samples_per_s=0)  # and the threshold of 1 ms
    missed_by = []
    for _ in range(3):
        said, faults, stats = observed(collector, orders, "user 20")
        (fault,) = [fault for fault in faults if fault.address == said["from"]]
        (took_ns,) = said["took_ns"]
        assert 20 * MS <= fault.latency_ns <= took_ns
        assert fault.fault_type == ("major" if said["major"] else "minor")
        assert fault.user_mode
        assert stats.max_latency_ns == fault.latency_ns
        missed_by.append(took_ns - fault.latency_ns)
    assert min(missed_by) < 0.02 * 20 * MS, missed_by


@pytest.mark.root
@pytest.mark.parametrize("threads", ["threads 5 100", "crowd 1200"])  # more than one read of the kernel's list holds
def test_processes_and_threads_are_counted_from_the_first_fault_to_the_last(opened, program, threads):
    collector = opened(**RECORD_NONE)
    take([collector])
    short = Orders(program)
    short.give("write 500")
    short.give(threads)
    events = [event for event in take([collector]) if event.pid == short.pid]
    usage = short.end()
    assert usage.ru_minflt > 1000
    deadline = time.monotonic() + 30
    while sum(event.minor_faults for event in events) < usage.ru_minflt and time.monotonic() < deadline:
        events += [e for e in take([collector]) if e.pid == short.pid]  # the kernel forgets a task some time later
        time.sleep(0.02)
    assert sum(event.minor_faults for event in events) == usage.ru_minflt
    assert sum(event.major_faults for event in events) == usage.ru_majflt
    assert {event.comm for event in events} == {"faults"}
    assert collector.lost == 0


@pytest.mark.root
def test_what_was_before_is_not_counted(opened, orders):
    orders.give("write 4000")
    collector = opened(**RECORD_NONE)
    assert [event for event in take([collector]) if event.pid == orders.pid] == []


@pytest.mark.root
def test_samples_are_bounded(opened, orders):
    collector = opened(fault_threshold_ms=1e6, fault_samples_per_s=5)
    orders.give("write 5000")
    faults = [event for event in take([collector]) if isinstance(event, PageFault)]
    assert len([fault for fault in faults if fault.fault_type == "minor"]) == 5
    assert len([fault for fault in faults if fault.fault_type == "major"]) <= 5


@pytest.mark.root
def test_faults_that_find_the_ring_full_are_counted_as_lost(opened, orders):
    collector = opened(**RECORD_ALL)
    orders.give("write 10000")
    faults = [event for event in collector.drain(lambda ns: ns + NOW) if isinstance(event, PageFault)]
    assert collector.lost > 0
    assert len([fault for fault in faults if fault.pid == orders.pid]) + collector.lost >= 10_000


def decide(collector, orders, bearable_ns):
    """Let it decide anew, after some faults, what it can time within so much CPU time a second."""
    collector._pace.bearable_ns = bearable_ns
    collector._pace.since -= 1
    orders.give("write 100")
    take([collector])
    return " ".join(collector.limitations)


@pytest.mark.root
def test_where_faults_are_too_many_to_be_timed_they_are_only_counted(opened, orders, on_disk):
    collector = opened(**RECORD_ALL)
    bearable_ns = collector._pace.bearable_ns
    assert "all but the counts" in decide(collector, orders, 1)
    for order, minor, major in (("write 100", 100, 0), (f"disk 10 {on_disk}", 0, 10)):
        _, faults, stats = observed(collector, orders, order)
        assert (stats.minor_faults, stats.major_faults, faults) == (minor, major, [])
        assert (stats.fault_ns, stats.max_latency_ns) == (None, None)
    assert "not taken" not in decide(collector, orders, bearable_ns)
    _, faults, stats = observed(collector, orders, "write 100")
    assert len(faults) == 100
    assert stats.fault_ns == sum(fault.latency_ns for fault in faults)


@pytest.mark.root
def test_major_faults_are_timed_where_minor_ones_are_too_many(opened, orders, on_disk):
    collector = opened(**RECORD_ALL)
    if not collector.majors.names:
        pytest.skip("to time major faults alone would cost as much")
    collector._pace.level = MAJORS
    collector._pace.since += 3600  # decide nothing else
    collector._follow()
    _, faults, stats = observed(collector, orders, "write 100")
    assert (stats.minor_faults, stats.fault_ns, faults) == (100, None, [])
    said, faults, stats = observed(collector, orders, f"disk 10 {on_disk}")
    assert (stats.major_faults, stats.fault_ns) == (10, None)
    assert [fault.address for fault in faults] == [said["from"] + i * PAGE for i in range(10)]
    assert agree(faults, said["took_ns"])
    assert "slow minor faults" in " ".join(collector.limitations)


@pytest.mark.root
def test_closing_gives_everything_back(opened):
    opened().close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    collector = opened()
    take([collector])
    collector.close()
    collector.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.root
def test_programs_follow_the_cpus_that_are_online(tmp_path):
    online = tmp_path / "devices/system/cpu/online"
    online.parent.mkdir(parents=True)
    wanted = (Trigger("end_minor", 5), Trigger("end_major", 6))
    programs = [trigger.program for trigger in wanted]
    last = os.cpu_count() - 1
    with closing(Object(image("page_faults"), "page_faults", programs=programs)) as loaded:
        events = CpuEvents(loaded, tmp_path)
        for cpus, links in (("0", 2), (f"0,{last}", 4 if last else 2), ("0", 2)):
            online.write_text(f"{cpus}\n")
            events.follow(wanted)
            assert len(loaded.attached) == links
        events.follow(wanted[:1])
        assert len(loaded.attached) == 1
        events.follow(())
        assert loaded.attached == ()


def test_a_source_that_does_not_exist_cannot_be_asked_for():
    with pytest.raises(UsageError, match="fexit, fentry, tracepoint, kprobe, perf"):
        open_best("page_faults", Host(options={"fault_source": "magic"}))


def test_the_source_that_is_asked_for_is_the_only_one_that_is_tried():
    with pytest.raises(SourceUnavailableError) as refused:
        open_best("page_faults", Host(options={"fault_source": "perf"}, sys=Path("/nowhere")))
    assert "fexit, fentry, tracepoint, kprobe: left out by fault_source=perf" in str(refused.value)


def test_a_fetch_is_one_even_where_it_is_flagged_as_more():
    assert [access(flags) for flags in (0, 0x40, 0x41, 0x100, 0x141, 0x80000040)] == [
        "read", "read", "write", "exec", "exec", None,
    ]  # fmt: skip


def test_threads_are_folded_into_their_process_which_has_the_name_of_its_first():
    with types_of("page_faults") as types:
        counting = Counting(types)

    def counted(pid, tid, comm, minor=0, major=0, spent=0, longest=0):
        return counting.layout.pack(
            pid=pid, tid=tid, comm=comm, minor_faults=minor, major_faults=major, fault_ns=spent, max_latency_ns=longest,
            cgroup_id=7,
        )  # fmt: skip

    records = counted(10, 12, b"worker", 5, 1, 900, 700) + counted(10, 10, b"main", 2, 0, 100, 60)
    records += counted(20, 20, b"other", 3)
    first, second = counting.events(records, NOW, timed=True)
    assert (first.pid, first.comm, first.minor_faults, first.major_faults) == (10, "main", 7, 1)
    assert (first.fault_ns, first.max_latency_ns, first.cgroup_id) == (1000, 700, 7)
    assert (second.pid, second.minor_faults, second.fault_ns, second.max_latency_ns) == (20, 3, None, None)
    assert {event.fault_ns for event in counting.events(records, NOW, timed=False)} == {None}


def test_a_fault_is_told_with_the_end_of_it():
    fill = filler(FAULTS, "page_faults")
    (layout,) = fill.layouts
    record = layout.pack(
        ended_at=5, latency_ns=9, address=2**64 - 4096, cgroup_id=3, pid=1, tid=2, cpu=4, flags=0x41, major=1, comm=b"x"
    )
    assert fill(lambda ended_at: NOW + ended_at, [record]) == [
        PageFault(
            NOW + 5, pid=1, tid=2, cpu=4, address=-4096, latency_ns=9, fault_type="major", access_type="write",
            user_mode=True, comm="x", cgroup_id=3,
        )
    ]  # fmt: skip


def test_the_share_that_is_sampled_follows_the_rate():
    pace = Pace(samples_per_s=20, bearable_ns=1e6, since=0)
    assert pace.sample_below(20, 1) == 2**32 - 1
    assert pace.sample_below(2000, 1) == pytest.approx(2**32 / 100, rel=0.01)
    assert pace.sample_below(1000, 0.5) == pytest.approx(2**32 / 100, rel=0.01)


def test_less_is_timed_above_a_rate_and_more_again_below_half_of_it():
    every, majors = TIMING_NS[:2]
    pace = Pace(samples_per_s=20, bearable_ns=1000 * every, since=0)
    decided = []
    most = 1000 * every // majors  # that major faults alone can be timed with
    rates = [900, 1100, 600, 400, most + 100, most - 100, most // 2 - 100, 900, 400]
    for second, minors in enumerate(rates, start=1):
        pace.add(minors // 2, second - 0.5)  # too early to tell
        pace.add(minors // 2, second)
        decided.append(pace.level)
    assert decided == [EVERY, MAJORS, MAJORS, EVERY, NONE, NONE, MAJORS, MAJORS, EVERY]
