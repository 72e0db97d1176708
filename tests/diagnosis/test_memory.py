"""Who uses memory up, whose it is, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from scenes import END, FROM, LENGTH, SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event
from kernelsight.events.memory import Memory, OomKill, PageFaultStats, Vmstat
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess, Wait

MIB = 1 << 20
GROUP = "/shop"


def findings(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return found.findings


def since(second: int, per_second: float) -> float:
    """What has come together by a second, at so much a second from the onset on."""
    return per_second * max(0, second - FROM)


def process(
    pid: int, comm: str, mib: Callable[[int], float], *, group: str = "/", until: int = LENGTH, **counters: float
) -> Iterator[Event]:
    """A process with so much memory in each second; counters grow by so much a second from the onset on."""
    for second in range(until):
        grown = {name: int(since(second, per_second)) for name, per_second in counters.items()}
        yield Process(
            START + second * SECOND + 3, pid=pid, ppid=1, start_ticks=pid, comm=comm, cgroup=group, memory_cgroup=group,
            anon_kb=int(mib(second) * 1024), rss_kb=int(mib(second) * 1024), swap_kb=0, **grown,
        )  # fmt: skip


def machine(available_mib: Callable[[int], float] = lambda _: 20_000, **counters: float) -> Iterator[Event]:
    """A machine of 24 GiB with so much of it left."""
    for second in range(LENGTH):
        at = START + second * SECOND + 1
        available = int(available_mib(second) * 1024)
        yield Memory(at, mem_total_kb=24 << 20, mem_available_kb=available, swap_free_kb=0, shmem_kb=0)
        yield Vmstat(at, **{name: int(since(second, per_second)) for name, per_second in counters.items()})


def group(
    limit_mib: float, used_mib: Callable[[int], float], anon_mib: float = 0, **counters: float
) -> Iterator[Event]:
    """A control group with a limit."""
    for second in range(LENGTH):
        yield Cgroup(
            START + second * SECOND + 2, cgroup=GROUP, memory_limit_bytes=int(limit_mib * MIB),
            memory_current_bytes=int(used_mib(second) * MIB), memory_anon_bytes=int(anon_mib * MIB),
            **{name: int(since(second, per_second)) for name, per_second in counters.items()},
        )  # fmt: skip


def waits(pid: int, comm: str, ms: float) -> Iterator[Event]:
    for second in range(FROM, LENGTH):
        yield Wait(
            START + second * SECOND + 7, pid=pid, comm=comm, waker_pid=0, waits_in="page_fault",
            state="uninterruptible", count=9, wait_ns=int(ms * 1e6), runqueue_ns=0,
        )  # fmt: skip


# --- pressure ---


def test_who_took_the_memory_of_the_machine_is_named_and_not_who_waits_for_pages(tmp_path):
    window = [
        *machine(lambda s: max(500, 8000 - since(s, 1500)), pgscan_kswapd=50_000, workingset_refault_file=20_000),
        *process(70, "build", lambda s: 1000 + since(s, 400)),
        *process(12, "db", lambda _: 14_000, read_bytes=20_000 * 4096),
        *waits(12, "db", 600),
    ]
    [finding] = findings(stored(tmp_path / "db", window))
    assert (finding.fault, finding.culprit.name, finding.victims[0].name) == ("memory_pressure", "build", "db")
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= 2 * SECOND


def test_a_full_group_that_reads_every_file_once_is_healthy(tmp_path):
    full = group(100, lambda _: 100, 10, memory_max_events=500, memory_refaults=3)
    reader = process(70, "backup", lambda _: 10, group=GROUP, read_bytes=80 * MIB, read_chars=80 * MIB)
    assert findings(stored(tmp_path / "db", [*machine(), *full, *reader, *waits(70, "backup", 400)])) == ()


def test_pages_that_come_back_to_a_group_with_room_are_not_its_limit(tmp_path):
    roomy = group(1000, lambda _: 300, 10, memory_refaults=2000)
    window = [*machine(), *roomy, *process(70, "job", lambda _: 10, group=GROUP), *waits(70, "job", 400)]
    assert findings(stored(tmp_path / "db", window)) == ()


def test_of_a_fault_that_was_there_before_the_largest_holder_is_named(tmp_path):
    thrashing = group(200, lambda _: 199, 150, memory_refaults=30_000, memory_max_events=100)
    members = [*process(70, "hog", lambda _: 140, group=GROUP), *process(12, "web", lambda _: 10, group=GROUP)]
    [finding] = findings(stored(tmp_path / "db", [*machine(), *thrashing, *members, *waits(12, "web", 500)]))
    assert (finding.fault, finding.culprit.name) == ("memory_pressure", "hog")
    assert [victim.name for victim in finding.victims] == ["web"]


def test_files_in_memory_that_leave_no_room_are_the_groups_where_nobody_has_them_mapped(tmp_path):
    def thrashing(members):
        crowded = group(200, lambda _: 199, 5, memory_refaults=30_000, memory_max_events=100)
        shared = [msgspec.structs.replace(event, memory_shmem_bytes=150 * MIB) for event in crowded]
        reader = process(12, "web", lambda _: 4, group=GROUP, read_bytes=120 * MIB)
        events = [*machine(), *shared, *reader, *waits(12, "web", 500), *members]
        [finding] = findings(stored(tmp_path / f"{len(members)}", events))
        assert finding.fault == "memory_pressure"
        return finding.culprit.name

    assert thrashing([]) == GROUP
    mapped = [
        msgspec.structs.replace(event, rss_kb=150 << 10) for event in process(70, "video", lambda _: 4, group=GROUP)
    ]
    assert thrashing(mapped) == "video"


def test_stalls_alone_tell_of_pressure_where_no_page_can_come_back(tmp_path):
    stalling = [
        Pressure(
            START + second * SECOND, resource="memory", scope="system", some_total_us=int(since(second, 300_000)),
            full_total_us=0,
        )
        for second in range(LENGTH)
    ]  # fmt: skip
    hog = process(70, "hog", lambda s: 15_000 + since(s, 400))
    window = [*machine(lambda s: max(300, 8000 - since(s, 400)), pgscan_direct=9000), *stalling, *hog]
    found = findings(stored(tmp_path / "db", window))
    assert ("memory_pressure", "hog") in [(one.fault, one.culprit.name) for one in found]


# --- leaks ---


def test_a_leak_is_seen_within_ten_seconds_of_history(tmp_path):
    leak = process(70, "api", lambda s: 50 + 10 * s, group=GROUP)
    path = stored(tmp_path / "db", [*machine(), *group(1024, lambda s: 60 + 10 * s, 60), *leak])
    [finding] = diagnose(path, START, START + 10 * SECOND).findings
    assert (finding.fault, finding.culprit.name) == ("memory_leak", "api")


def test_processes_that_grow_together_meet_the_limit_sooner_than_each_of_them_alone(tmp_path):
    leaks = [process(pid, "worker", lambda s: 50 + 2 * s) for pid in range(70, 74)]
    together = findings(stored(tmp_path / "four", [*machine(), *(event for leak in leaks for event in leak)]))
    assert [(one.fault, one.culprit.id) for one in together] == [("memory_leak", str(pid)) for pid in range(70, 74)]
    alone = process(70, "worker", lambda s: 50 + 2 * s)
    assert findings(stored(tmp_path / "one", [*machine(), *alone])) == ()


def test_growth_by_steps_is_a_leak_too(tmp_path):
    path = stored(tmp_path / "db", [*machine(), *process(70, "api", lambda s: 50 + 150 * (s // 4))])
    assert [finding.fault for finding in findings(path)] == ["memory_leak"]


@pytest.mark.parametrize(
    "mib",
    [
        lambda s: 20 + 40 * min(s, 12),  # a warm-up that is over
        lambda s: 100 + 60 * (s % 6),  # memory that is used in turns
        lambda s: 900,  # much, and always the same
        lambda s: 50 + 0.1 * s,  # it would take days
        lambda s: 900 - 20 * s,  # it shrinks
    ],
)
def test_what_is_not_a_leak(tmp_path, mib):
    assert findings(stored(tmp_path / "db", [*machine(), *process(70, "api", mib)])) == ()


def test_data_that_is_being_loaded_is_not_a_leak(tmp_path):
    loader = process(70, "load", lambda s: 50 + since(s, 40), read_chars=45 * MIB, utime_ms=900)
    assert findings(stored(tmp_path / "db", [*machine(), *loader])) == ()


@pytest.mark.parametrize("delay_ms", [0, 500])
def test_a_large_computation_is_not_a_leak_even_if_it_has_to_wait_for_cpus(tmp_path, delay_ms):
    ran = {"utime_ms": 950 - delay_ms, "cpu_delay_ns": delay_ms * 1_000_000}
    sort = process(70, "sort", lambda s: 50 + since(s, 40), read_chars=MIB, **ran)
    assert findings(stored(tmp_path / "db", [*machine(), *sort])) == ()


def test_a_program_that_starts_slowly_because_of_its_disk_is_not_a_leak(tmp_path):
    start = process(70, "mypy", lambda s: 50 + since(s, 4), utime_ms=100)
    disk = [msgspec.structs.replace(row, waker_context="hardirq") for row in waits(70, "mypy", 800)]
    assert findings(stored(tmp_path / "leak", [*machine(), *start])) != ()
    start = process(70, "mypy", lambda s: 50 + since(s, 4), utime_ms=100)
    assert "memory_leak" not in [one.fault for one in findings(stored(tmp_path / "db", [*machine(), *start, *disk]))]


def test_an_endless_loop_that_takes_memory_is_a_leak_when_its_limit_is_near(tmp_path):
    loop = process(70, "loop", lambda s: 50 + since(s, 400), utime_ms=500, stime_ms=450)
    assert "memory_leak" in [one.fault for one in findings(stored(tmp_path / "db", [*machine(), *loop]))]


def test_memory_that_grows_while_the_program_still_starts_is_told_from_its_files(tmp_path):
    leak = [
        msgspec.structs.replace(one, rss_kb=one.anon_kb + 1024 * min(second, 2) * 20)
        for second, one in enumerate(process(70, "api", lambda s: 50 + 30 * s))
    ]
    assert [one.fault for one in findings(stored(tmp_path / "db", [*machine(), *leak]))] == ["memory_leak"]


def test_pages_of_files_that_a_process_maps_are_no_leak(tmp_path):
    reader = [
        msgspec.structs.replace(one, rss_kb=1024 * (20 + 40 * second))
        for second, one in enumerate(process(70, "search", lambda _: 20))
    ]
    assert findings(stored(tmp_path / "db", [*machine(), *reader])) == ()


def test_files_in_memory_belong_to_who_writes_them(tmp_path):
    writer = process(70, "cache", lambda _: 20, write_chars=40 * MIB)
    shared = [
        msgspec.structs.replace(one, shmem_kb=int(since(second // 2, 40) * 1024)) if isinstance(one, Memory) else one
        for second, one in enumerate(machine())
    ]
    [finding] = findings(stored(tmp_path / "db", [*shared, *writer, *process(12, "web", lambda _: 500)]))
    assert (finding.fault, finding.culprit.name) == ("memory_leak", "cache")


def test_who_was_killed_does_not_leak_any_more(tmp_path):
    gone = process(70, "api", lambda s: 50 + 30 * s, until=20)
    other = process(12, "web", lambda _: 10)
    assert findings(stored(tmp_path / "db", [*machine(), *gone, *other])) == ()


# --- kills ---


def killed(pid: int, comm: str, second: int, mib: float, path: str | None = GROUP) -> Event:
    return OomKill(
        START + second * SECOND + 500, pid=pid, comm=comm, anon_rss_kb=int(mib * 1024), shmem_rss_kb=0, cgroup=path
    )


def test_who_used_the_memory_is_named_and_not_who_was_killed_for_it(tmp_path):
    window = [
        *machine(),
        *group(200, lambda s: min(199, 40 + 10 * s), 190, memory_max_events=50),
        *process(70, "hog", lambda s: min(150, 10 + 10 * s), group=GROUP),
        *process(12, "small", lambda _: 20, group=GROUP, until=20),
        killed(12, "small", 19, 20),
    ]
    found = findings(stored(tmp_path / "db", window))
    assert (found[0].fault, found[0].culprit.name, found[0].victims[0].name) == ("oom_kill", "hog", "small")


def test_one_that_is_started_again_and_killed_again_is_one_finding(tmp_path):
    kills = [killed(100 + second, "worker", second, 180) for second in range(FROM, LENGTH, 4)]
    neighbour = process(12, "web", lambda _: 60, group=GROUP)
    window = [*machine(), *group(200, lambda _: 199, 190, memory_max_events=50), *neighbour, *kills]
    [finding] = findings(stored(tmp_path / "db", window))
    assert (finding.fault, finding.culprit.name) == ("oom_kill", "worker")


def test_a_group_that_nothing_else_is_known_of_is_believed(tmp_path):
    [finding] = findings(stored(tmp_path / "db", [*machine(), killed(70, "job", 20, 300, "/gone/job")]))
    assert (finding.fault, finding.culprit.name) == ("oom_kill", "job")


def test_without_tracers_the_counter_of_the_group_tells_and_its_largest_process_is_named(tmp_path):
    window = [
        *machine(),
        *group(200, lambda _: 190, 180, memory_oom_kills=0.2),
        *process(70, "worker", lambda s: 20 + 10 * (s % 15), group=GROUP),
        *process(12, "web", lambda _: 30, group=GROUP),
    ]
    [finding] = findings(stored(tmp_path / "db", window))
    assert (finding.fault, finding.culprit.name) == ("oom_kill", "worker")


def test_pressure_that_ended_in_a_kill_is_told_as_the_kill(tmp_path):
    window = [
        *machine(),
        *group(200, lambda _: 199, 190, memory_max_events=50, memory_refaults=30_000, memory_oom_kills=0.3),
        *process(70, "hog", lambda _: 150, group=GROUP),
        *waits(70, "hog", 500),
        killed(70, "hog", LENGTH - 1, 150),
    ]
    assert [finding.fault for finding in findings(stored(tmp_path / "db", window))] == ["oom_kill"]


# --- page faults ---


def faults(pid: int, comm: str, per_second: int, *, major: int = 0) -> Iterator[Event]:
    for second in range(FROM, LENGTH):
        at = START + second * SECOND + 5
        yield PageFaultStats(at, pid=pid, comm=comm, minor_faults=per_second, major_faults=major)


def test_faults_without_growth_are_a_storm(tmp_path):
    storm = process(70, "codec", lambda _: 60, utime_ms=200, stime_ms=700)
    [finding] = findings(stored(tmp_path / "db", [*machine(), *storm, *faults(70, "codec", 200_000)]))
    assert (finding.fault, finding.culprit.name) == ("page_fault_storm", "codec")


def test_pages_that_are_swapped_in_again_are_no_storm_however_fast_that_is(tmp_path):
    thrashing = process(70, "rank", lambda _: 60, utime_ms=100, stime_ms=800)
    path = stored(tmp_path / "db", [*machine(pswpin=25_000), *thrashing, *faults(70, "rank", 1000, major=24_000)])
    assert findings(path) == ()


def test_without_tracers_samples_of_processes_tell_of_a_storm(tmp_path):
    storm = process(70, "codec", lambda _: 60, utime_ms=200, stime_ms=700, minor_faults=200_000)
    assert [one.fault for one in findings(stored(tmp_path / "db", [*machine(), *storm]))] == ["page_fault_storm"]


def test_faults_of_a_program_that_computes_are_no_storm(tmp_path):
    busy = process(70, "solve", lambda _: 60, utime_ms=950, stime_ms=50)
    assert findings(stored(tmp_path / "db", [*machine(), *busy, *faults(70, "solve", 40_000)])) == ()


def test_faults_of_memory_that_is_kept_are_no_storm(tmp_path):
    sort = process(70, "sort", lambda s: since(s, 300), utime_ms=500, stime_ms=450, read_chars=200 * MIB)
    assert findings(stored(tmp_path / "db", [*machine(), *sort, *faults(70, "sort", 77_000)])) == ()


def test_faults_of_threads_that_come_and_go_are_told_as_what_they_are(tmp_path):
    starter = process(70, "api", lambda _: 60, utime_ms=200, stime_ms=700)
    threads = [
        SchedProcess(
            START + second * SECOND + 7, pid=70, comm="api", cpu_time_ms=900, runqueue_ms=0, threads_started=20_000
        )
        for second in range(FROM, LENGTH)
    ]
    path = stored(tmp_path / "db", [*machine(), *starter, *faults(70, "api", 60_000), *threads])
    assert [one.fault for one in findings(path)] == ["fork_storm"]


def test_faults_of_new_processes_are_no_storm(tmp_path):
    shell = process(70, "sh", lambda _: 5, utime_ms=200, stime_ms=700)
    forks = [
        SchedProcess(START + second * SECOND + 7, pid=70, comm="sh", cpu_time_ms=900, runqueue_ms=0, forks=300)
        for second in range(FROM, LENGTH)
    ]
    found = findings(stored(tmp_path / "db", [*machine(), *shell, *faults(70, "sh", 60_000), *forks]))
    assert "page_fault_storm" not in [one.fault for one in found]


def copies(comm: str, first: int, each: int, *, parent: int, group: int, execs: int = 0) -> Iterator[Event]:
    """Twenty children a second that run for 40 ms and fault so often, and their parent's account of them."""
    for second in range(FROM, LENGTH):
        at = START + second * SECOND + 7
        yield SchedProcess(at, pid=parent, comm=comm, cpu_time_ms=90, forks=20, execs=execs, cgroup_id=group)
        for pid in range(first + 20 * second, first + 20 * second + 20):
            yield PageFaultStats(at, pid=pid, comm=comm, minor_faults=each, major_faults=0, cgroup_id=group)
            yield SchedProcess(at, pid=pid, comm=comm, cpu_time_ms=40, cgroup_id=group)


def busy(system: int) -> Iterator[Event]:
    """A CPU of two that spends so much of a second in the kernel, and the rest in programs."""
    for second in range(LENGTH):
        spent = {"user": since(second, 100 - system), "system": since(second, system), "idle": 100 * second}
        yield Cpu(START + second * SECOND, cpu=-1, **{name: int(of) for name, of in spent.items()})
        yield from (Cpu(START + second * SECOND, cpu=cpu, user=0, system=0, idle=0) for cpu in (0, 1))


def storms(path: str) -> list[str]:
    return [one.culprit.id for one in findings(path) if one.fault == "page_fault_storm"]


def test_copies_that_write_to_all_their_pages_are_a_storm_of_who_makes_them(tmp_path):
    twin = SchedProcess(START + (FROM + 2) * SECOND, pid=60, comm="cache", cpu_time_ms=1, forks=1, cgroup_id=2)
    window = [*machine(), *busy(80), twin, *copies("cache", 1000, 16_000, parent=70, group=1)]
    assert storms(stored(tmp_path / "db", window)) == ["70"]


@pytest.mark.parametrize(
    ("system", "each", "execs"), [(20, 16_000, 0), (80, 900, 0), (80, 16_000, 20)], ids=["computing", "few", "programs"]
)
def test_children_that_compute_or_hardly_begin_or_are_other_programs_are_none(tmp_path, system, each, execs):
    window = [*machine(), *busy(system), *copies("cache", 1000, each, parent=70, group=1, execs=execs)]
    assert storms(stored(tmp_path / "db", window)) == []


def test_workers_that_fault_now_and_then_beside_a_program_in_the_kernel_are_none(tmp_path):
    workers = [
        PageFaultStats(START + (FROM + pid % 15) * SECOND, pid=pid, comm="httpd", minor_faults=6000, cgroup_id=1)
        for pid in range(100, 130)
    ]
    main = SchedProcess(START + FROM * SECOND, pid=99, comm="httpd", cpu_time_ms=1, forks=1, execs=0, cgroup_id=1)
    assert storms(stored(tmp_path / "db", [*machine(), *busy(90), main, *workers])) == []


def test_without_tracers_the_forks_of_the_machine_explain_faults(tmp_path):
    shell = process(70, "sh", lambda _: 5, utime_ms=200, stime_ms=700, minor_faults=60_000)
    forks = [Cpu(START + second * SECOND, cpu=-1, idle=1, forks=int(since(second, 300))) for second in range(LENGTH)]
    found = findings(stored(tmp_path / "db", [*machine(), *shell, *forks]))
    assert "page_fault_storm" not in [one.fault for one in found]
