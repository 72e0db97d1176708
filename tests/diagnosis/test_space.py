"""Space and inodes that run out, and who uses them up."""

from __future__ import annotations

import errno

from disk_scenes import moved
from scenes import END, FROM, LENGTH, SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.collector import CollectorReport
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess
from kernelsight.events.syscalls import SyscallError

MB = 1_000_000


def diagnosis(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return found


def mount(left, *, kind="ext4", point="/srv", number=None):
    """A file system of 1 GB of which so much is left at each second."""
    for second in range(LENGTH):
        free = max(0, int(left(second)))
        yield Filesystem(
            START + second * SECOND + 3, mount_point=point, device="/dev/sdb", fs_type=kind, size_bytes=1000 * MB,
            free_bytes=free, avail_bytes=free, inodes_total=1000, inodes_free=900, read_only=False,
            device_number=number,
        )  # fmt: skip


def failed(pid, comm, error, call="write", count=5, number=None):
    for second in range(FROM, LENGTH):
        yield SyscallError(
            START + second * SECOND + 4, pid=pid, comm=comm, syscall_nr=1, syscall_name=call, errno=error,
            error=errno.errorcode[error], count=count, device_number=number,
        )  # fmt: skip


def fills(second):
    return 900 * MB - 40 * MB * max(0, second - FROM)


def test_the_process_that_wrote_what_is_missing_is_named_not_the_one_that_wrote_most(tmp_path):
    rows = [
        *mount(fills),
        *moved(70, "logger", written=40 * MB, since=FROM),
        *moved(80, "copier", written=900 * MB, since=FROM),
        *moved(81, "web", written=MB),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("disk_full", "logger")


def test_who_fails_because_another_one_has_filled_it_is_a_victim(tmp_path):
    rows = [
        *mount(lambda second: 400 * MB - 40 * MB * max(0, second - FROM), kind="tmpfs"),
        *moved(70, "logger", written=40 * MB, since=FROM),
        *failed(70, "logger", errno.ENOSPC),
        *failed(11, "db", errno.ENOSPC, count=50),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("disk_full", "logger")
    assert [victim.name for victim in finding.victims] == ["db"]


def test_where_it_was_full_all_the_time_who_wants_more_and_has_written_as_much_is_named_or_else_what_is_full(tmp_path):
    full = [*mount(lambda _: 0), *moved(81, "web", written=MB), *failed(11, "db", errno.ENOSPC, count=80)]
    one = [*failed(70, "logger", errno.ENOSPC, count=5), *moved(70, "logger", written=20 * MB)]
    [finding] = diagnosis(stored(tmp_path / "one", [*full, *one, *moved(11, "db", written=MB)])).findings
    assert (finding.fault, finding.culprit.name) == ("disk_full", "logger")
    assert "db" in {victim.name for victim in finding.victims}
    [finding] = diagnosis(stored(tmp_path / "victim", [*full, *moved(11, "db", written=MB)])).findings
    assert (finding.culprit.kind, finding.culprit.name) == ("mount", "/srv")
    many = [event for pid in range(20, 25) for event in failed(pid, "date", errno.ENOSPC, count=1)]
    [finding] = diagnosis(stored(tmp_path / "many", [*mount(lambda _: 0), *many])).findings
    assert (finding.culprit.kind, finding.culprit.name) == ("mount", "/srv")
    assert {victim.name for victim in finding.victims} == {"date"}


def test_a_file_system_with_nothing_left_is_said_though_nobody_tries_to_write_and_one_with_little_is_not(tmp_path):
    [finding] = diagnosis(stored(tmp_path / "nothing", [*mount(lambda _: 0), *moved(81, "web", written=MB)])).findings
    assert (finding.fault, finding.culprit.name) == ("disk_full", "/srv")
    assert not diagnosis(
        stored(tmp_path / "little", [*mount(lambda _: 5 * MB), *moved(81, "web", written=MB)])
    ).findings


def test_a_file_that_is_written_anew_again_and_again_does_not_fill_a_file_system(tmp_path):
    rows = [*mount(lambda s: 900 * MB - 80 * MB * (s % 8)), *moved(70, "copy", written=80 * MB)]
    assert not diagnosis(stored(tmp_path / "db", rows)).findings


def test_a_quota_that_is_used_up_is_said_to_be_one(tmp_path):
    rows = [*mount(lambda _: 800 * MB), *failed(70, "job", errno.EDQUOT)]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("disk_full", "job")
    assert "quota" in finding.actions[0].text


def test_no_more_watches_of_files_is_not_a_full_disk(tmp_path):
    rows = [*mount(lambda _: 800 * MB), *failed(70, "ide", errno.ENOSPC, call="inotify_add_watch")]
    assert [one.fault for one in diagnosis(stored(tmp_path / "db", rows)).findings] == ["kernel_limit"]


def test_our_own_collectors_do_not_fill_the_disk(tmp_path):
    rows = [
        *mount(fills),
        CollectorReport(START + 5, name="block", status="running", pid=90),
        *moved(90, "anything", written=40 * MB, since=FROM),
        *moved(70, "logger", written=20 * MB, since=FROM),
    ]
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert finding.culprit.name == "logger"


def test_the_script_is_named_whose_children_take_the_last_inodes_one_after_the_other(tmp_path):
    rows = list(mount(lambda _: 500 * MB))
    for row in rows:
        row.inodes_free = 0
    for second in range(LENGTH):
        at = START + second * SECOND + 7
        rows += [
            Process(at, pid=60, ppid=1, comm="script", start_ticks=1, stime_ms=300 * second),
            Process(at, pid=200 + second, ppid=60, comm="touch", start_ticks=second, stime_ms=1),
            SchedProcess(
                at, pid=60, comm="script", cpu_time_ms=400.0, runqueue_ms=0.0, forks=600, execs=0, exits=600,
                child_lifetime_ms=900.0,
            ),
        ]  # fmt: skip
        for pid in (200 + second, 300 + second, 400 + second):
            rows.append(next(failed(pid, "touch", errno.ENOSPC, call="open", count=1)))
    [finding] = diagnosis(stored(tmp_path / "db", rows)).findings
    assert (finding.fault, finding.culprit.name) == ("inode_exhaustion", "script")


TWO_FULL = [
    *mount(lambda _: 0, point="/boot", number="8:1"),
    *mount(lambda _: 0, point="/srv", number="8:2"),
    *moved(70, "logger", written=40 * MB),
    *moved(80, "updater", written=40 * MB),
]


def test_of_two_full_file_systems_each_failure_is_of_the_one_that_its_file_is_on(tmp_path):
    rows = [*failed(70, "logger", errno.ENOSPC, number="8:2"), *failed(80, "updater", errno.ENOSPC, number="8:1")]
    findings = diagnosis(stored(tmp_path / "db", [*TWO_FULL, *rows])).findings
    said = {(one.culprit.name, *one.victims) for one in findings}
    assert said == {("logger",), ("updater",)}
    for one in findings:
        mount_point = {"logger": "/srv", "updater": "/boot"}[one.culprit.name]
        assert any(f"{mount_point} has " in step.claim for step in one.path)


def test_on_which_of_two_full_file_systems_a_call_fails_is_said_to_be_unknown_where_it_is(tmp_path):
    findings = diagnosis(stored(tmp_path / "db", [*TWO_FULL, *failed(11, "db", errno.ENOSPC, "openat")])).findings
    assert {(one.culprit.kind, one.culprit.name, one.victims) for one in findings} == {
        ("mount", "/boot", ()), ("mount", "/srv", ()),
    }  # fmt: skip
    assert all(any("db failed with ENOSPC. The file system is not known" in s.claim for s in f.path) for f in findings)


def test_watches_are_no_space_though_a_file_system_is_full(tmp_path):
    watches = failed(11, "editor", errno.ENOSPC, "inotify_add_watch", number="8:1")
    findings = diagnosis(stored(tmp_path / "db", [*mount(lambda _: 0, point="/boot", number="8:1"), *watches])).findings
    full = [one for one in findings if one.fault == "disk_full"]
    assert [(one.culprit.name, one.victims) for one in full] == [("/boot", ())]
    assert all("editor" not in step.claim for step in full[0].path)


def test_a_failure_on_a_file_system_with_room_is_not_that_of_the_full_one(tmp_path):
    room = mount(lambda _: 800 * MB, point="/data", number="8:3")
    rows = [*TWO_FULL, *room, *failed(11, "db", errno.ENOSPC, number="8:3")]
    findings = diagnosis(stored(tmp_path / "db", rows)).findings
    [own] = [one for one in findings if one.culprit.name == "db"]
    assert "on /data" in own.path[0].claim
    assert all("db" not in {v.name for v in one.victims} for one in findings if one is not own)


def test_a_file_system_that_no_longer_loses_space_does_not_fill_up_and_one_that_loses_it_in_steps_does(tmp_path):
    written = moved(70, "copy", written=40 * MB)
    stops = mount(lambda second: 900 * MB - 40 * MB * min(second, 15))
    assert not diagnosis(stored(tmp_path / "stops", [*stops, *written])).findings
    steps = mount(lambda second: 900 * MB - 150 * MB * (second // 6))
    [finding] = diagnosis(stored(tmp_path / "steps", [*steps, *moved(70, "copy", written=25 * MB)])).findings
    assert (finding.fault, finding.culprit.name) == ("disk_full", "copy")


def test_what_a_driver_has_no_space_for_is_none_of_a_file_system(tmp_path):
    room = mount(lambda _: 800 * MB, number="8:1")
    display = failed(70, "display", errno.ENOSPC, call="ioctl", number="0:5")
    assert not diagnosis(stored(tmp_path / "driver", [*room, *display])).findings
    full = mount(lambda _: 0, number="8:1")
    [finding] = diagnosis(
        stored(tmp_path / "file", [*full, *failed(70, "clone", errno.ENOSPC, call="ioctl", number="8:1")])
    ).findings
    assert [victim.name for victim in finding.victims] == ["clone"]
