"""Storage that is broken is found, and errors that mean something else are not taken for it."""

import errno

from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.filesystem import Filesystem
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
