"""Who waits for disks and because of whom: known cases, and disks that are only busy."""

from __future__ import annotations

import pytest
from disk_scenes import device, hangs, moved, waited
from scenes import END, FROM, LENGTH, SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.memory import Memory
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process

MB = 1_000_000


def diagnosis(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return found


def named(path):
    return [(one.fault, one.culprit.kind, one.culprit.name) for one in diagnosis(path).findings]


def since(then, before=(0, 0.0)):
    """What holds from a moment on, and what before it."""
    return lambda second: then if second >= FROM else before


BUSY = list(device("sda", since((250, 40), (20, 4)), kib=400))
"""In use all the time from a moment on, with ten requests under way."""


def test_who_reads_without_end_beside_a_reader_is_the_culprit_and_not_who_waits(tmp_path):
    rows = [
        *BUSY,
        *moved(70, "scan", read=95 * MB, since=FROM),
        *waited(70, "scan", "pread64", since((230, 9.5))),
        *moved(12, "web", read=80_000),
        *waited(12, "web", "read", since((20, 0.8), (20, 0.08))),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("disk_saturation", "scan")
    assert [victim.name for victim in finding.victims] == ["web"]
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= SECOND


def test_a_loud_reader_of_the_page_cache_is_not_the_culprit(tmp_path):
    idle = {"pid": 80, "comm": "cache", "start_ticks": 1, "read_bytes": 0, "write_bytes": 0}
    cached = [Process(START + s * SECOND + 7, **idle, read_chars=s * 10**10) for s in range(LENGTH)]
    rows = [
        *BUSY,
        *cached,
        *moved(70, "scan", read=95 * MB, since=FROM),
        *waited(70, "scan", "pread64", since((230, 9.5))),
        *waited(12, "web", "read", since((20, 0.8))),
    ]
    assert named(stored(tmp_path / "db", rows)) == [("disk_saturation", "process", "scan")]


def test_a_backup_that_keeps_a_disk_busy_and_that_nobody_waits_for_is_healthy(tmp_path):
    rows = [
        *device("sda", since((400, 2.5)), kib=256),
        *moved(70, "tar", read=100 * MB, since=FROM),
        *waited(70, "tar", "read", since((300, 0.6))),
    ]
    assert not diagnosis(stored(tmp_path / "db", rows)).findings


def test_many_tasks_of_one_program_that_wait_for_each_other_need_no_other_victim(tmp_path):
    rows = [
        *BUSY,
        *moved(70, "scan", read=95 * MB, since=FROM),
        *waited(70, "scan", "pread64", since((230, 9.5))),
    ]
    assert named(stored(tmp_path / "db", rows)) == [("disk_saturation", "process", "scan")]


def test_a_disk_that_takes_long_for_single_requests_is_slow_and_not_asked_for_too_much(tmp_path):
    rows = [
        *device("sda", since((10, 80), (60, 0.2))),
        *moved(12, "web", read=40_000),
        *waited(12, "web", "read", since((10, 0.8), (60, 0.012))),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.id, finding.victims[0].name) == ("disk_latency", "sda", "web")
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= SECOND


def test_a_disk_that_delays_many_requests_at_once_is_slow_though_many_are_under_way(tmp_path):
    rows = [
        *device("sda", since((150, 60), (160, 0.3))),
        *moved(12, "web", read=600_000),
        *waited(12, "web", "pread64", since((150, 9.0), (160, 0.05))),
    ]
    assert named(stored(tmp_path / "db", rows))[0] == ("disk_latency", "device", "sda")


def test_a_slow_disk_is_found_without_knowing_how_it_was_before(tmp_path):
    rows = [*device("sda", lambda _: (10, 80)), *waited(12, "web", "read", lambda _: (10, 0.8))]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.id, finding.began_before) == ("disk_latency", "sda", True)


def test_large_requests_may_take_their_time(tmp_path):
    rows = [*device("sda", lambda _: (12, 80), kib=4000), *waited(12, "copy", "read", lambda _: (12, 0.9))]
    assert not diagnosis(stored(tmp_path / "db", rows)).findings


def test_a_slow_disk_that_nobody_waits_for_is_no_fault(tmp_path):
    assert not diagnosis(stored(tmp_path / "db", device("sda", since((10, 80), (60, 0.2))))).findings


def test_of_a_slow_disk_and_one_that_is_made_of_it_the_lower_one_is_named_first(tmp_path):
    rows = [
        *device("sda", since((10, 80), (60, 0.2))),
        *device("dm-0", since((10, 81), (60, 0.3))),
        *waited(12, "web", "read", since((10, 0.8), (60, 0.012))),
    ]
    assert diagnosis(stored(tmp_path / "db", rows)).findings[0].culprit.id == "sda"


def dirty(kb):
    return [Memory(START + s * SECOND + 9, dirty_kb=kb if s >= FROM else 100, writeback_kb=0) for s in range(LENGTH)]


COMMITS = since((20, 0.7), (60, 0.03))


def test_who_dirties_in_bulk_is_why_commits_of_another_one_take_long(tmp_path):
    rows = [
        *device("sda", since((100, 8), (60, 0.5)), kib=1000, reads=False),
        *waited(11, "db", "fdatasync", COMMITS),
        *moved(11, "db", written=100_000),
        *moved(70, "copy", written=100 * MB, since=FROM),
        *dirty(200_000),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("fsync_stall", "copy")
    assert [victim.name for victim in finding.victims] == ["db"]


def test_a_process_of_the_same_database_that_loads_in_bulk_is_why_commits_of_the_others_take_long(tmp_path):
    rows = [
        *device("sda", since((300, 3.0), (50, 1.0)), reads=False, kib=128),
        *(row for pid in (20, 21) for row in waited(pid, "postgres", "fdatasync", since((20, 0.6), (20, 0.02)))),
        *(row for pid in (20, 21) for row in moved(pid, "postgres", written=1e5)),
        *moved(30, "postgres", written=4e7, since=FROM),
        *dirty(300_000),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.id) == ("fsync_stall", "30")
    assert {victim.id for victim in finding.victims} == {"20", "21"}


def test_processes_of_one_database_that_commit_about_as_much_delay_each_other_no_more_than_usual(tmp_path):
    rows = [
        *device("sda", since((300, 3.0), (50, 1.0)), reads=False, kib=128),
        *(row for pid in (20, 21) for row in waited(pid, "postgres", "fdatasync", since((20, 0.6), (20, 0.02)))),
        *(row for pid in (20, 21) for row in moved(pid, "postgres", written=4e6)),
        *moved(30, "postgres", written=8e6, since=FROM),
        *dirty(300_000),
    ]
    assert "fsync_stall" not in [fault for fault, *_ in named(stored(tmp_path / "db", rows))]


def test_a_first_second_that_was_not_bad_yet_does_not_say_how_long_commits_usually_take(tmp_path):
    rows = [
        *device("sda", lambda _: (100, 7.9), kib=1000, reads=False),
        *waited(11, "db", "fdatasync", lambda second: (100, 0.39 if second == 1 else 0.7) if second else (0, 0)),
        *moved(11, "db", written=100_000),
        *moved(70, "copy", written=100 * MB, since=2),  # counted once a child of it has ended
        *(Memory(START + second * SECOND + 9, dirty_kb=200_000, writeback_kb=0) for second in range(LENGTH)),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("fsync_stall", "copy")


def test_what_is_written_around_the_page_cache_is_not_what_commits_wait_for(tmp_path):
    rows = [
        *device("sda", since((100, 9.9), (60, 0.5)), kib=1000, reads=False),
        *waited(11, "db", "fdatasync", COMMITS),
        *moved(11, "db", written=100_000),
        *moved(70, "copy", written=100 * MB, since=FROM),
        *waited(70, "copy", "pwrite64", since((100, 2.0))),
        *dirty(300),
    ]
    assert named(stored(tmp_path / "db", rows))[0] == ("disk_saturation", "process", "copy")


def test_who_writes_to_another_disk_is_not_why_commits_take_long(tmp_path):
    elsewhere = moved(70, "copy", written=900 * MB, since=FROM)
    rows = [
        *device("sda", since((100, 8), (60, 0.5)), reads=False),
        *waited(11, "db", "fdatasync", COMMITS),
        *moved(11, "db", written=100_000),
        *elsewhere,
        *dirty(200_000),
    ]
    assert "fsync_stall" not in [fault for fault, *_ in named(stored(tmp_path / "db", rows))]


@pytest.mark.parametrize("limit", [20, 29])
def test_a_group_at_its_limit_is_the_culprit_and_not_the_disk(tmp_path, limit):
    group = [
        Cgroup(START + s * SECOND + 4, cgroup="/batch", cgroup_id=1, io_read_ios=20 * s, io_read_ios_limit=limit)
        for s in range(LENGTH)
    ]
    rows = [*device("sda", lambda _: (20, 0.1)), *group, *waited(12, "job", "read", lambda _: (20, 0.95))]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.kind, finding.culprit.id) == ("disk_latency", "cgroup", "/batch")
    assert [victim.name for victim in finding.victims] == ["job"]


def test_a_limit_of_the_root_group_makes_a_device_slow(tmp_path):
    root = [
        Cgroup(START + s * SECOND + 4, cgroup="/", cgroup_id=1, io_read_ios=320 * s, io_read_ios_limit=20)
        for s in range(LENGTH)
    ]
    rows = [
        *device("sdb", lambda _: (20, 0.1)),
        *device("sda", lambda _: (300, 0.1)),
        *root,
        *waited(12, "job", "read", lambda _: (20, 0.95)),
        *waited(13, "web", "read", lambda _: (300, 0.03)),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.kind, finding.culprit.id) == ("disk_latency", "device", "sdb")


@pytest.mark.parametrize("limit", [None, 1000])
def test_a_group_below_its_limit_is_not_held_back(tmp_path, limit):
    group = [
        Cgroup(START + s * SECOND + 4, cgroup="/batch", cgroup_id=1, io_read_ios=20 * s, io_read_ios_limit=limit)
        for s in range(LENGTH)
    ]
    rows = [*device("sda", lambda _: (20, 0.1)), *group, *waited(12, "job", "read", lambda _: (20, 0.002))]
    assert not diagnosis(stored(tmp_path / "db", rows)).findings


def test_without_tracers_the_pressure_says_that_somebody_waits(tmp_path):
    stalls = [
        Pressure(START + s * SECOND + 2, resource="io", scope="system", some_total_us=700_000 * max(0, s - FROM))
        for s in range(LENGTH)
    ]
    rows = [*BUSY, *stalls, *moved(70, "scan", read=95 * MB, since=FROM)]
    assert named(stored(tmp_path / "db", rows)) == [("disk_saturation", "process", "scan")]


HANGS_IN = {"syscall_name": "pread64", "wchan": "__iomap_dio_rw", "stack": "__iomap_dio_rw;iomap_dio_rw;vfs_read"}


def test_tasks_that_hang_on_a_device_that_answers_nothing(tmp_path):
    rows = [
        *device("sdb", since((0, 0), (50, 0.2)), in_flight=since(3, 0)),
        *hangs(12, "web", since=FROM, device="sdb", mount_point="/srv", **HANGS_IN),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.id, finding.victims[0].name) == ("blocked_io", "sdb", "web")
    assert abs(finding.onset_ns - (START + FROM * SECOND)) <= 2 * SECOND


def test_what_the_kernel_says_of_hung_tasks_is_cited_with_who_holds_the_lock(tmp_path):
    said = {"message_kind": "hung_task", "from_kernel": True, "pid": 12, "comm": "web", "count": 1}
    rows = [
        *device("sdb", since((0, 0), (50, 0.2)), in_flight=since(3, 0)),
        *hangs(12, "web", since=FROM, device="sdb", mount_point="/srv", **HANGS_IN),
        KernelMessage(START + 20 * SECOND, text="INFO: task web:12 blocked for more than 10 seconds.", **said),
        KernelMessage(START + 21 * SECOND, holder_pid=33, holder_comm="tar", **said),
        KernelMessage(START + 21 * SECOND, **said | {"pid": 99, "holder_pid": 98, "holder_comm": "other"}),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    claims = [step.claim for step in finding.path]
    assert any("INFO: task web:12 blocked" in claim for claim in claims)
    assert any("tar (thread 33) holds the lock that web (thread 12) waits for" in claim for claim in claims)
    assert not any("other" in claim for claim in claims)


def test_a_device_that_answers_nothing_is_found_without_tracers(tmp_path):
    rows = device("sdb", since((0, 0), (50, 0.2)), in_flight=since(3, 0))
    assert named(stored(tmp_path / "db", rows)) == [("blocked_io", "device", "sdb")]


def test_a_frozen_file_system_is_named_by_its_mount(tmp_path):
    stack = {"syscall_name": "write", "wchan": "percpu_rwsem_wait", "stack": "percpu_rwsem_wait;vfs_write;ksys_write"}
    rows = [
        *device("sdb", since((0, 0), (50, 0.2))),
        *hangs(12, "log", since=FROM, device="sdb", mount_point="/srv", **stack),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.kind, finding.culprit.id) == ("blocked_io", "mount", "/srv")
    assert "thaw" in finding.actions[0].text


def test_a_file_system_that_is_served_by_a_program_hangs_whatever_the_disks_do(tmp_path):
    stack = {"syscall_name": "openat", "wchan": "request_wait_answer", "stack": "request_wait_answer;fuse_lookup_name"}
    rows = [
        *device("sdb", lambda _: (200, 1), in_flight=lambda _: 3),
        *hangs(12, "photos", since=FROM, mount_point="/mnt/share", **stack),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.kind, finding.culprit.id) == ("blocked_io", "mount", "/mnt/share")


def test_a_task_that_waits_long_for_a_device_that_gets_on_does_not_hang(tmp_path):
    rows = [
        *device("sdb", lambda _: (200, 1), in_flight=lambda _: 3),
        *hangs(12, "web", since=FROM, device="sdb", mount_point="/srv", **HANGS_IN),
    ]
    assert "blocked_io" not in [fault for fault, *_ in named(stored(tmp_path / "db", rows))]


def test_a_task_of_which_the_disk_is_not_known_does_not_hang_while_some_disk_works_for_it(tmp_path):
    stack = {"syscall_name": "sync", "wchan": "sync_inodes_sb", "stack": "folio_wait_writeback;sync_inodes_sb"}
    rows = [*device("sdb", lambda _: (200, 4)), *hangs(12, "sync", since=FROM, **stack)]
    assert "blocked_io" not in [fault for fault, *_ in named(stored(tmp_path / "db", rows))]


def test_a_task_that_waits_for_a_partition_waits_for_its_disk(tmp_path):
    rows = [
        *device("sdb", lambda _: (200, 1), in_flight=lambda _: 3),
        *hangs(12, "web", since=FROM, device="sdb1", mount_point="/srv", **HANGS_IN),
    ]
    assert "blocked_io" not in [fault for fault, *_ in named(stored(tmp_path / "db", rows))]


def test_a_parent_that_sleeps_in_vfork_does_not_hang_on_storage(tmp_path):
    rows = hangs(
        12, "make", since=FROM, syscall_name="vfork", wchan="kernel_clone", stack="kernel_clone;__do_sys_vfork"
    )
    assert not diagnosis(stored(tmp_path / "db", rows)).findings


def test_a_task_that_has_come_back_hangs_no_more(tmp_path):
    rows = [
        row
        for row in hangs(12, "web", since=2, device="sdb", mount_point="/srv", **HANGS_IN)
        if row.timestamp < START + 12 * SECOND
    ]
    rows += list(device("sdb", since((50, 0.2), (0, 0))))
    assert not diagnosis(stored(tmp_path / "db", rows)).findings
