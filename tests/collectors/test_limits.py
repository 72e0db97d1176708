"""Limits of the kernel: their use as a recorded /proc tells it, and who really holds inotify instances here."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
import tracemalloc
from pathlib import Path

import pytest
from recordings import NOW

from kernelsight.collectors.base import Host, open_best
from kernelsight.collectors.procfs.limit_holders import INSTANCES, WATCHES, LimitHoldersCollector, real_user, watches_in
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.limit import Limit, LimitHolder

FILES = {
    "loadavg": "0.72 0.25 0.08 1/119 9777\n",
    "key-users": "    0:     9 8/8 3/1000000 40/25000000\n 1000:     2 2/2 200/200 3000/20000\n",
    "net/sockstat": "sockets: used 290\nTCP: inuse 2 orphan 0 tw 0 alloc 2 mem 153\nUDP: inuse 0 mem 0\n",
    "sys/fs/file-nr": "751\t0\t2466174\n",
    "sys/fs/aio-nr": "65536\n",
    "sys/fs/aio-max-nr": "65536\n",
    "sys/kernel/threads-max": "15000\n",
    "sys/kernel/pid_max": "32768\n",
    "sys/kernel/sem": "32000\t1024000000\t500\t3\n",
    "sys/kernel/shmmni": "4096\n",
    "sys/net/ipv4/tcp_mem": "188886\t251850\t377772\n",
    "sys/net/netfilter/nf_conntrack_count": "65537\n",
    "sys/net/netfilter/nf_conntrack_max": "65536\n",
    "sysvipc/sem": "       key      semid perms      nsems   uid\n         0          1   666          1     0\n",
    "sysvipc/shm": "       key      shmid perms\n",
}
GOLDEN = [
    ("fs.file-max", None, 751, 2466174),
    ("fs.aio-max-nr", None, 65536, 65536),
    ("kernel.threads-max", None, 119, 15000),
    ("kernel.pid_max", None, 119, 32768),
    ("kernel.shmmni", None, 0, 4096),
    ("kernel.sem", None, 1, 3),
    ("net.netfilter.nf_conntrack_max", None, 65537, 65536),
    ("net.ipv4.tcp_mem", None, 153, 377772),
    ("kernel.keys.maxkeys", 0, 3, 1000000),
    ("kernel.keys.maxkeys", 1000, 200, 200),
]


@pytest.fixture
def proc(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def limits(proc: Path) -> list[tuple]:
    _, collector = open_best("limit", Host(proc=proc))
    found = [(one.limit_name, one.uid, one.used, one.maximum) for one in collector.collect(NOW)]
    assert list(collector.collect(NOW)) == []  # every 5 s
    collector.close()
    return found


def test_each_limit_has_its_use_and_those_of_users_one_row_for_each(proc):
    assert limits(proc) == GOLDEN


def test_a_limit_that_cannot_be_read_costs_no_other(proc):
    (proc / "sys/fs/aio-nr").write_text("what?\n")
    (proc / "sys/kernel/sem").write_text("32000\n")
    shutil.rmtree(proc / "sys/net/netfilter")  # the module is not loaded
    lost = {"kernel.sem", "net.netfilter.nf_conntrack_max"}
    rest = [(*row[:2], None, row[3]) if row[0] == "fs.aio-max-nr" else row for row in GOLDEN if row[0] not in lost]
    assert limits(proc) == rest


def test_without_sysctls_it_says_where_they_were_looked_for(tmp_path):
    with pytest.raises(SourceUnavailableError, match="sys"):
        open_best("limit", Host(proc=tmp_path))


def test_the_user_is_the_real_one():
    assert real_user(b"Name:\tx\nUid:\t1000\t0\t0\t0\n") == 1000
    assert real_user(b"Name:\tx\n") is None


def test_this_machine_tells_its_limits():
    names = {name for name, *_ in limits(Path("/proc"))}
    assert {"fs.file-max", "kernel.pid_max"} <= names


def test_a_million_watches_are_counted_in_little_memory(tmp_path):
    line = (
        b"inotify wd:%x ino:2a sdev:fd00001 mask:fce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:01234567\n"
    )
    (tmp_path / "fdinfo").write_bytes(b"pos:\t0\n" + b"".join(line % at for at in range(700_000)))
    assert (tmp_path / "fdinfo").stat().st_size > 64 << 20
    tracemalloc.start()
    counted = watches_in(str(tmp_path / "fdinfo"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counted == 700_000
    assert peak < 1 << 20
    assert watches_in(str(tmp_path / "gone")) == 0


def test_who_really_holds_instances_and_watches_is_found(tmp_path):
    libc = ctypes.CDLL(None, use_errno=True)
    mine = [libc.inotify_init1(0) for _ in range(3)]
    try:
        assert min(mine) >= 0
        for number in range(4):
            (tmp_path / str(number)).touch()
            assert libc.inotify_add_watch(mine[0], os.fsencode(tmp_path / str(number)), 2) >= 0
        _, collector = open_best("limit_holders", Host())
        events: list = []
        deadline = time.monotonic() + 20
        while not events and time.monotonic() < deadline:
            events = collector.collect(NOW)
        collector.close()
    finally:
        for descriptor in mine:
            os.close(descriptor)
    held = {one.limit_name: one.held for one in events if isinstance(one, LimitHolder) and one.pid == os.getpid()}
    assert held == {INSTANCES: 3, WATCHES: 4}
    users = {(one.limit_name, one.uid): one for one in events if isinstance(one, Limit)}
    of_me = users[INSTANCES, os.getuid()]
    assert of_me.used >= 3
    assert of_me.maximum == int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())


def test_an_instance_that_is_made_between_two_looks_at_everything_is_found_and_stays_found():
    collector = LimitHoldersCollector(Host())
    collector._look(NOW)  # of everything
    before = [held.instances for held in collector._look(NOW) if held.pid == os.getpid()]
    mine = ctypes.CDLL(None, use_errno=True).inotify_init1(0)
    try:
        assert mine >= 0
        counted = [[held.instances for held in collector._look(NOW) if held.pid == os.getpid()] for _ in range(2)]
    finally:
        os.close(mine)
        collector.close()
    assert counted == [[sum(before) + 1]] * 2
