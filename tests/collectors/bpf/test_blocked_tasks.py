"""Threads that hang in the kernel are found, with what they hang on."""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from contextlib import closing

import pytest
from described import types_of
from observed import within

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.blocked_task import (
    BLOCKED,
    BlockedTasks,
    Record,
    devices_of_mounts,
    mount_of,
    parse_blocked,
    served_device,
    wait_channel,
)
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.syscall_names import name_of
from kernelsight.collectors.bpf.wait import Waits
from kernelsight.events.scheduler import BlockedTask

MS = 1_000_000


def found(collector, pid, how_often=1, timeout=40, calls=None):
    """Scan every 100 ms until a process has been found blocked that many times; the events of it.

    With names of calls, only those in one of these: on a busy machine what starts hangs in other ones for a while.
    """
    events, deadline = [], time.monotonic() + timeout
    while len(events) < how_often and time.monotonic() < deadline:
        events += [
            event
            for event in collector.collect(time.time_ns())
            if event.pid == pid and (calls is None or event.syscall_name in calls)
        ]
        time.sleep(0.1)
    return events


@pytest.fixture(scope="module")
def program(compile_c):
    return compile_c("blocked")


@pytest.mark.root
@pytest.mark.parametrize("with_switches", [False, True], ids=["alone", "with the switch hook"])
def test_a_parent_that_waits_for_its_vfork_child_is_blocked(program, with_switches):
    host = Host()
    with closing(Waits(host) if with_switches else BlockedTasks(host)), closing(BlockedTasks(host)) as collector:
        list(collector.collect(time.time_ns()))
        began = time.monotonic_ns()
        with subprocess.Popen([program, "vfork"], stdout=subprocess.PIPE) as child:
            first = found(collector, child.pid)[0]
            seen_after_ms = (time.monotonic_ns() - began) / MS
            said = json.loads(child.communicate()[0])
        assert found(collector, child.pid, timeout=0.3) == []  # and no longer
    assert said["what"] == "vfork"
    assert 1000 <= first.blocked_ms <= seen_after_ms
    assert within(first.blocked_ms, seen_after_ms, slack=300)
    assert (first.tid, first.comm, first.syscall_name) == (child.pid, "blocked", "vfork")
    assert "vfork" in first.stack or "clone" in first.stack
    assert first.wchan in first.stack.split(";")


@pytest.fixture
def frozen(tmp_path):
    """A file on a file system of its own that is frozen, and its mount point."""
    for tool in ("losetup", "mkfs.ext4", "fsfreeze", "mount"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    image, mount = tmp_path / "image", tmp_path / "mounted here"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mount], check=False).returncode:
        pytest.skip("cannot mount a loop device here")
    path = mount / "file"
    path.touch()
    subprocess.run(["fsfreeze", "--freeze", mount], check=True)
    try:
        yield path, mount
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", mount], check=False, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while subprocess.run(["umount", mount], check=False).returncode and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.mark.root
def test_a_writer_to_a_frozen_file_system_hangs_on_its_mount(program, frozen):
    path, mount = frozen
    device = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", mount], capture_output=True, text=True, check=True
    ).stdout.strip()
    with (
        closing(BlockedTasks(Host())) as collector,
        subprocess.Popen([program, "write", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer,
    ):
        try:
            event = found(collector, writer.pid)[0]
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", mount], check=True)
    assert (event.syscall_name, event.mount_point) == ("write", str(mount))
    assert event.device == device.removeprefix("/dev/")
    assert "write" in event.stack


CALLS = {"openat", "mkdir", "mkdirat", "unlinkat"}
MAKES_A_FILE = {
    "by its whole path": "import os, sys; os.open('/' + sys.argv[1] + '/new', os.O_CREAT | os.O_WRONLY)",
    "from where it is": "import os, sys; os.chdir(sys.argv[1]); os.mkdir('../mounted here/new')",
    "from a directory": "import os, sys; os.unlink('file', dir_fd=os.open(sys.argv[1], os.O_RDONLY))",
}


@pytest.mark.root
@pytest.mark.parametrize("code", MAKES_A_FILE.values(), ids=MAKES_A_FILE.keys())
def test_who_hangs_in_a_call_on_a_path_hangs_on_the_mount_of_the_path(code, frozen):
    _, mount = frozen
    with (
        closing(BlockedTasks(Host())) as collector,
        subprocess.Popen([sys.executable, "-c", code, mount]) as writer,
    ):
        try:
            event = found(collector, writer.pid, calls=CALLS)[0]
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", mount], check=True)
    assert event.mount_point == str(mount)
    assert event.device is not None
    assert event.device.startswith("loop")


@pytest.fixture
def without_answers(tmp_path):
    """The mount point of a FUSE file system whose server says that it is there, and nothing more (linux/fuse.h)."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        channel = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    options = f"fd={channel},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"silent", bytes(tmp_path), b"fuse.silent", 0, options):
        os.close(channel)
        pytest.skip("cannot mount a FUSE file system here")
    try:
        _, _, unique = struct.unpack_from("<IIQ", os.read(channel, 1 << 17))
        about = struct.pack("<4I2H2I2H32x", 7, 31, 1 << 17, 0, 0, 0, 1 << 17, 1, 0, 0)  # struct fuse_init_out
        os.write(channel, struct.pack("<IiQ", 16 + len(about), 0, unique) + about)
        yield tmp_path
    finally:
        os.close(channel)  # whoever waits gets ENOTCONN
        libc.umount2(bytes(tmp_path), 2)


@pytest.mark.root
def test_who_waits_for_a_server_of_fuse_hangs_on_its_mount_though_signals_could_wake_it(without_answers):
    code = "import os, sys; os.stat(sys.argv[1] + '/anything')"
    with (
        closing(BlockedTasks(Host())) as collector,
        subprocess.Popen([sys.executable, "-c", code, without_answers], stderr=subprocess.DEVNULL) as asks,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as idles,
    ):
        try:
            event = found(collector, asks.pid)[0]
            assert found(collector, idles.pid, timeout=0.3) == []
        finally:
            asks.kill()
            idles.kill()
    assert event.mount_point == str(without_answers)
    assert event.wchan == "request_wait_answer"


@pytest.mark.root
def test_nobody_is_blocked_on_a_quiet_machine_because_it_idles():
    """Kernel threads that idle uninterruptibly (TASK_IDLE) are not blocked."""
    with closing(BlockedTasks(Host())) as collector:
        names = set()
        for _ in range(15):
            names |= {event.comm for event in collector.collect(time.time_ns())}
            time.sleep(0.1)
    assert not {name for name in names if name.startswith(("rcu_", "kworker", "kcompactd", "kthreadd"))}


def test_records_and_their_stacks_are_told_apart():
    with types_of("threads") as types:
        layout = types.layout("blocked")
        records, fill = Records(layout, Record), BLOCKED.of(types)

    def record(tid, frames, comm):
        return layout.pack(
            now=9, off_at=8, switches=7, start_time=6, arg0=2**64 - 1, cgroup_id=2**64 - 5, pid=3, tid=tid, call=1,
            frames=frames, state=2, comm=comm,
        )  # fmt: skip

    data = record(4, 2, b"a\nb") + b"schedule+0x2f/0x90\n__x64_sys_vfork+0x1/0x2 [module]\n" + record(5, 0, b"c")
    first, second = parse_blocked(records, data)
    assert first.record == Record(9, 8, 7, 6, 2**64 - 1, 4, 1, 2, 2, b"a\nb".ljust(16, b"\0"))
    assert (first.stack, second.stack) == (("schedule", "__x64_sys_vfork"), ())
    assert (second.record.tid, first.sleep, second.sleep) == (5, (4, 6, 7), (5, 6, 7))
    event, _ = fill(10**18, [first.raw, second.raw])
    assert event == BlockedTask(10**18, pid=3, tid=4, comm="a\nb", syscall_nr=1, syscall_name=name_of(1), cgroup_id=-5)


def test_the_wait_channel_is_where_sleeping_was_decided():
    stack = ["__schedule", "schedule", "schedule_timeout", "wait_for_completion_killable", "kernel_clone"]
    assert wait_channel(stack) == "kernel_clone"
    assert wait_channel(["schedule"]) is None
    assert wait_channel(["io_schedule", "folio_wait_bit_common", "filemap_read"]) == "filemap_read"


def test_a_kernel_thread_says_which_device_it_serves():
    assert served_device("jbd2/sda1-8") == "sda1"
    assert served_device("xfsaild/dm-0") == "dm-0"
    assert served_device("loop3") == "loop3"
    assert served_device("kworker/0:1") is None
    assert served_device("postgres") is None


def test_the_mount_is_the_innermost_one():
    mounts = devices_of_mounts(
        b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        b"30 22 8:2 / /srv rw shared:5 - xfs /dev/sda2 rw\n"
        b"31 30 0:50 / /srv/with\\040space rw - nfs4 host:/export rw\n"
        b"damaged line\n"
    )
    assert mounts == {"/": "8:1", "/srv": "8:2", "/srv/with space": "0:50"}
    assert mount_of("/srv/with space/file", mounts) == "/srv/with space"
    assert mount_of("/srv/without", mounts) == "/srv"
    assert mount_of("/srvother", mounts) == "/"
    assert mount_of("pipe:[4]", mounts) is None
