"""Storage that is broken is found, and errors that mean something else are not taken for it."""

import errno

import pytest
from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.diagnosis.kernel_log import is_about
from kernelsight.events.collector import CollectorReport
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.syscalls import SyscallError

DISK = "8:17"


def failing(error, *calls, number=DISK, pid=70, since=10):
    for second in range(since, LENGTH):
        for call in calls:
            yield SyscallError(
                START + second * SECOND + 5, pid=pid, comm="archiver", syscall_name=call, errno=error,
                error=errno.errorcode[error], count=2, device_number=number,
            )  # fmt: skip


def mounted(*, read_only_since=LENGTH, device="/dev/sdb1", fs_type="ext4", number=DISK):
    for second in range(LENGTH):
        yield Filesystem(
            START + second * SECOND + 3, mount_point="/srv", device=device, fs_type=fs_type, size_bytes=1 << 40,
            free_bytes=1 << 39, avail_bytes=1 << 39, inodes_total=1000, inodes_free=900,
            read_only=second >= read_only_since, device_number=number,
        )  # fmt: skip


def answer(tmp_path, *events):
    ordinary = (*cpus(4), *used(70, "archiver", 10, 1))
    tmp_path.mkdir(exist_ok=True)
    database = stored(tmp_path / "db", [*ordinary, *(event for several in events for event in several)])
    found = diagnose(database, START, END)
    assert all(grounded(database, finding) for finding in found.findings)
    return found


def doubted(found):
    return [(one.culprit.name, one.confidence) for one in found.ruled_out if one.fault == "io_errors"]


def test_a_device_that_answers_with_errors_is_the_culprit_and_its_programs_are_victims(tmp_path):
    (finding,) = answer(tmp_path, mounted(), failing(errno.EIO, "pread64", "fsync")).findings
    assert (finding.fault, finding.culprit.kind, finding.culprit.name) == ("io_errors", "device", "sdb1")
    assert [victim.id for victim in finding.victims] == ["70"]
    assert "80 calls (fsync, pread64) of archiver (70) failed with EIO on /srv (sdb1)" in finding.path[0].claim
    assert finding.onset_ns == START + 10 * SECOND + 5


def test_one_call_that_loses_data_is_enough(tmp_path):
    once = list(failing(errno.EIO, "fdatasync", since=LENGTH - 1))
    (finding,) = answer(tmp_path, mounted(), once).findings
    assert finding.fault == "io_errors"


def test_a_failed_commit_on_a_file_system_that_is_not_watched_says_what_is_not_known(tmp_path):
    (finding,) = answer(tmp_path, mounted(), failing(errno.EIO, "fsync", number="0:57")).findings
    assert finding.culprit.name == "0:57"
    assert "not known, because no watched mount has this number" in finding.path[0].claim
    (finding,) = answer(tmp_path / "unknown", mounted(), failing(errno.EIO, "fsync", number=None)).findings
    assert finding.culprit.kind == "machine"
    assert "not known, because the calls do not tell it" in finding.path[0].claim


def test_terminals_and_memory_that_are_gone_are_no_broken_storage(tmp_path):
    found = answer(tmp_path, mounted(), failing(errno.EIO, "read", "write", "pread64", number="0:24"))
    assert found.findings == ()
    assert [confidence < 0.1 for _, confidence in doubted(found)] == [True]


def test_device_files_that_lie_in_memory_are_no_broken_storage(tmp_path):
    in_memory = mounted(device="tmpfs", fs_type="tmpfs", number="0:60")
    assert answer(tmp_path, in_memory, failing(errno.EIO, "read", "write", number="0:60")).findings == ()


def test_drivers_may_say_so_of_their_own(tmp_path):
    found = answer(tmp_path, mounted(), failing(errno.EIO, "ioctl"))
    assert found.findings == ()
    assert doubted(found) == []


def test_a_file_that_was_open_for_writing_shows_that_its_file_system_became_read_only(tmp_path):
    for since in (LENGTH, 10, 0):  # not seen, as since Linux 6.15; seen; seen from the beginning
        events = mounted(read_only_since=since), failing(errno.EROFS, "write", "openat")
        (finding,) = answer(tmp_path / str(since), *events).findings
        assert (finding.fault, finding.culprit.name) == ("io_errors", "sdb1")
        said = any("could be written to and became read-only" in step.claim for step in finding.path)
        assert said == (since == 10)


def test_a_file_system_that_is_read_only_by_intention_is_no_fault(tmp_path):
    found = answer(tmp_path, mounted(read_only_since=0), failing(errno.EROFS, "openat", "mkdir"))
    assert found.findings == ()
    assert [name for name, _ in doubted(found)] == ["sdb1"]


def test_a_read_only_view_of_a_file_system_that_others_write_to_is_no_fault(tmp_path):
    """A service with `ProtectSystem=strict` has one."""
    assert answer(tmp_path, mounted(), failing(errno.EROFS, "openat", "unlinkat", "mkdir")).findings == ()


def test_images_and_roots_of_containers_are_read_only_by_intention(tmp_path):
    assert answer(tmp_path, mounted(), failing(errno.EROFS, "openat", "write", number="0:80")).findings == ()


def test_a_device_that_fails_and_then_is_read_only_is_one_fault(tmp_path):
    events = mounted(read_only_since=20), failing(errno.EIO, "fsync"), failing(errno.EROFS, "write", since=20)
    (finding,) = answer(tmp_path, *events).findings
    assert "EIO" in finding.path[0].claim
    assert "20 calls failed with EROFS" in finding.path[1].claim
    assert finding.onset_ns == START + 10 * SECOND + 5


def log_read(*messages):
    """The kernel's log was read all the time, and had these messages: second, kind, device, text."""
    for second in range(0, LENGTH, 10):
        yield CollectorReport(START + second * SECOND + 1, name="kernel_message", status="running", pid=9)
    for second, kind, device, text in messages:
        yield KernelMessage(
            START + second * SECOND + 1, message_kind=kind, from_kernel=kind != "user", level=3, count=1,
            device=device, text=text,
        )  # fmt: skip


def confidence(found):
    return max((one.confidence for one in (*found.findings, *found.ruled_out) if one.fault == "io_errors"), default=0)


def test_a_file_system_that_a_person_made_read_only_is_no_fault(tmp_path):
    """`mount -o remount,ro` by hand within the window: the kernel says nothing of an error."""
    remounted = mounted(read_only_since=10), failing(errno.EROFS, "openat")
    by_hand = log_read((10, "filesystem_mounted", "sdb1", "EXT4-fs (sdb1): re-mounted 94."))
    found = answer(tmp_path, *map(list, remounted), by_hand)
    assert found.findings == ()
    assert confidence(found) < 0.2
    assert confidence(answer(tmp_path / "unread", mounted(read_only_since=10), failing(errno.EROFS, "openat"))) > 0.5


def test_an_error_that_the_kernel_says_is_cited_and_certain(tmp_path):
    for said in ("sdb1", "sdb"):  # file systems name the partition, failed requests the disk
        events = mounted(), failing(errno.EROFS, "openat"), log_read((9, "filesystem_error", said, "EXT4-fs error"))
        (finding,) = answer(tmp_path / said, *events).findings
        assert finding.confidence > 0.8
        assert any('the kernel said: "EXT4-fs error"' in step.claim for step in finding.path)


def test_an_error_of_another_disk_says_nothing(tmp_path):
    for other in ("sdb11", "sdbx", "sda", "sd", "sdb2"):
        log = log_read((9, "filesystem_error", other, "EXT4-fs error"))
        assert answer(tmp_path / other, mounted(read_only_since=10), failing(errno.EROFS, "openat"), log).findings == ()


def test_what_a_program_wrote_to_the_log_proves_nothing(tmp_path):
    forged = log_read((9, "user", "sdb1", "EXT4-fs (sdb1): Remounting filesystem read-only"))
    assert answer(tmp_path, mounted(read_only_since=10), failing(errno.EROFS, "openat"), forged).findings == ()


def test_writes_that_are_lost_without_a_failing_call_are_found_by_the_log_alone(tmp_path):
    lost = [(second, "io_error", "sdb", "Buffer I/O error on dev sdb, lost async page write") for second in (9, 10)]
    (finding,) = answer(tmp_path, mounted(), log_read(*lost)).findings
    assert (finding.fault, finding.culprit.name, finding.victims) == ("io_errors", "sdb1", ())
    assert "no program is told" in finding.outlook


def test_a_drive_that_nobody_uses_may_fail(tmp_path):
    empty = [(second, "io_error", "sr0", "I/O error, dev sr0, sector 0 op 0x0:(READ)") for second in range(5, 20)]
    assert answer(tmp_path, mounted(), log_read(*empty)).findings == ()


@pytest.mark.parametrize(
    ("said", "device", "number", "expected"),
    [
        ("sda", "/dev/sda1", "8:1", True), ("sda1", "/dev/sda1", None, True), ("sda1", "/dev/sda11", None, False),
        ("sda", "/dev/sdab1", None, False), ("sd", "/dev/sda", None, False), ("", "/dev/sda", None, False),
        ("nvme0", "/dev/nvme0n1p2", None, True), ("nvme0n1", "/dev/nvme0n1p2", None, True),
        ("nvme0n1", "/dev/nvme0n12", None, False), ("loop0", "loop0p1", None, True), ("loop0", "loop01", None, False),
        ("dm-3", "/dev/mapper/data", "253:3", True), ("dm-3", "/dev/mapper/data", "253:30", False),
        ("8:16", "/dev/sdb", "8:16", True),
    ],
)  # fmt: skip
def test_a_name_in_a_message_means_a_disk_its_partitions_and_its_namespaces(said, device, number, expected):
    assert is_about(said, device, number) is expected
