"""Who waits for a lock on a file: the kernel's list, and real processes that lock."""

from __future__ import annotations

import fcntl
import os
import queue
import subprocess
import sys
import time
from contextlib import closing

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.procfs.file_lock_wait import FileLocks, parse_locks
from kernelsight.errors import SourceUnavailableError

NOW = 1_790_000_000_000_000_000
LIST = b"""1: FLOCK  ADVISORY  WRITE 812 fe:00:2155003 0 EOF
1: -> FLOCK  ADVISORY  WRITE 813 fe:00:2155003 0 EOF
1:  -> FLOCK  ADVISORY  WRITE 814 fe:00:2155003 0 EOF
2: POSIX  ADVISORY  READ 900 00:2e:77 128 128
2: -> POSIX  ADVISORY  WRITE 901 00:2e:77 128 128
3: OFDLCK ADVISORY  WRITE -1 08:01:5 0 0
3: -> OFDLCK ADVISORY  WRITE -1 08:01:5 0 EOF
4: LEASE  ACTIVE    READ 77 08:01:6 0 EOF
"""
WAIT = """import fcntl, sys
with open(sys.argv[1], "r+") as file:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
"""


def test_each_that_waits_is_said_with_the_one_that_has_the_lock_however_long_the_queue():
    waits = [(one.pid, one.holder_pid, one.lock_type, one.device_name, one.inode) for one in parse_locks(LIST, NOW)]
    assert waits == [
        (813, 812, "flock", "fe:00", 2155003),
        (814, 812, "flock", "fe:00", 2155003),
        (901, 900, "posix", "00:2e", 77),
        (None, None, "ofd", "08:01", 5),
    ]


def test_a_reading_that_takes_long_holds_nobody_up_and_is_handed_out_when_it_is_there(monkeypatch):
    given = queue.SimpleQueue()  # as a kernel whose grace period does not end
    monkeypatch.setattr(KernelFile, "read", lambda _: given.get())
    with closing(FileLocks(Host())) as locks:
        assert locks.collect(NOW) == []
        assert locks.collect(NOW + 10**9) == []
        given.put(LIST)
        deadline = time.monotonic() + 30
        while not (waits := locks.collect(NOW + 2 * 10**9)):
            assert time.monotonic() < deadline
        assert {wait.timestamp for wait in waits} == {NOW}, "stamped when it was asked for"


def test_a_kernel_without_any_lock_has_an_empty_list():
    assert list(parse_locks(b"", NOW)) == []


@pytest.mark.parametrize("text", [b"1: FLOCK\n", b"1: FLOCK  ADVISORY  WRITE x fe:00:1 0 EOF\n"])
def test_what_is_no_list_of_locks_is_refused(text):
    with pytest.raises(SourceUnavailableError, match="/proc/locks"):
        list(parse_locks(text, NOW))


@pytest.mark.parametrize(("call", "kind"), [("flock", "flock"), ("lockf", "posix")])
def test_a_process_that_waits_for_us_is_seen_until_we_let_go(call, kind, tmp_path):
    path = tmp_path / "locked"
    with path.open("w") as file, closing(FileLocks(Host())) as locks:
        getattr(fcntl, call)(file, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, "-c", WAIT, path, call]) as waiter:
            deadline = time.monotonic() + 30
            while not (seen := [one for one in locks.collect(NOW) if one.pid == waiter.pid]):
                assert time.monotonic() < deadline
            getattr(fcntl, call)(file, fcntl.LOCK_UN)
            assert waiter.wait(30) == 0
        [wait] = seen
        assert (wait.holder_pid, wait.lock_type, wait.inode) == (os.getpid(), kind, path.stat().st_ino)
        assert wait.comm
        assert wait.holder_comm
        assert not [one for one in locks.collect(NOW) if one.pid == waiter.pid]
