"""Control groups: recorded ones of version 2, text of version 1, and groups made here with limits that bite."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import Moments

from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.cgroup import CgroupCollector
from kernelsight.collectors.procfs.cgroup_paths import cgroup_mounts, find_mounts
from kernelsight.collectors.procfs.cgroup_text import (
    V1_ACTIVITY,
    V1_LIMITS,
    V1_USE,
    V2_LIMITS,
    V2_USE,
    fill_v1,
    fill_v2,
    limit,
)
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.cgroup import Cgroup

FIXTURES = Path(__file__).parents[1] / "fixtures/proc"
RECORDED = sorted(path for path in FIXTURES.glob("linux-*") if (path / "sys/fs/cgroup/work.slice").exists())
NOW = 1_800_000_000_000_000_000
S = 1_000_000_000


def collector_of(path, moments=time.monotonic_ns):
    roots = {"proc": path / "proc", "sys": path / "sys", "cgroup": path / "sys/fs/cgroup"}
    return CgroupCollector(Host(**roots, monotonic_ns=moments))


# --- recorded: version 2 ---


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_recorded_groups_have_what_their_files_say(path):
    collector = collector_of(path)
    events = {event.cgroup: event for event in collector.collect(NOW)}
    collector.close()
    assert events.keys() == {"/", "/idle.slice", "/work.slice", "/work.slice/busy.service"}
    busy, folder = events["/work.slice/busy.service"], path / "sys/fs/cgroup/work.slice/busy.service"
    cpu = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    assert busy.cpu_usage_us == int(cpu["usage_usec"])
    assert busy.cpu_throttled_us == int(cpu["throttled_usec"]) > 0
    assert busy.cpu_throttled_periods == int(cpu["nr_throttled"]) <= busy.cpu_periods
    assert (busy.cpu_quota_us, busy.cpu_period_us, busy.cpu_weight) == (20_000, 100_000, 50)
    assert (busy.memory_limit_bytes, busy.memory_high_bytes) == (33_554_432, 16_777_216)
    assert busy.memory_current_bytes == int((folder / "memory.current").read_text())
    memory = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    assert (busy.memory_anon_bytes, busy.memory_file_bytes) == (int(memory["anon"]), int(memory["file"]))
    assert busy.memory_shmem_bytes == int(memory["shmem"])
    assert busy.memory_high_events > 0
    assert (busy.pids_limit, busy.pids_limit_events) == (12, 1)
    assert busy.io_write_bytes == int((folder / "io.stat").read_text().split("wbytes=")[1].split()[0]) > 20_000_000
    assert busy.cgroup_id == folder.stat().st_ino


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_no_limit_is_unknown_and_nothing_used_is_zero(path):
    collector = collector_of(path)
    idle = next(event for event in collector.collect(NOW) if event.cgroup == "/idle.slice")
    collector.close()
    assert (idle.cpu_quota_us, idle.memory_limit_bytes, idle.memory_high_bytes, idle.pids_limit) == (None,) * 4
    assert (idle.cpu_usage_us, idle.io_read_bytes, idle.pids_current, idle.memory_oom_kills) == (0, 0, 0, 0)


@pytest.mark.parametrize("step_ns", [0, -3600 * S, 3600 * S], ids=["not set", "set back", "set ahead"])
def test_a_group_is_reported_again_when_it_was_active_and_once_a_minute(tmp_path, step_ns):
    moments = Moments()
    shutil.copytree(RECORDED[0], tmp_path / "host", symlinks=True)
    for number in range(20):
        shutil.copytree(tmp_path / "host/sys/fs/cgroup/idle.slice", tmp_path / f"host/sys/fs/cgroup/more{number}.slice")
    collector = collector_of(tmp_path / "host", moments)
    assert len(list(collector.collect(NOW))) == 24
    assert len(list(collector.collect(moments.at(NOW + 1000)))) == 10  # the largest
    moments.step_ns = step_ns
    seen = [event.cgroup for event in collector.collect(moments.at(NOW + S))]
    assert len(seen) < 24
    seen += [event.cgroup for second in range(2, 61) for event in collector.collect(moments.at(NOW + second * S))]
    assert len(set(seen)) == 24
    shutil.rmtree(tmp_path / "host/sys/fs/cgroup/more1.slice")
    for second in range(61, 67):  # a file that is no kernel's stays readable until the next search
        list(collector.collect(moments.at(NOW + second * S)))
    late = [event.cgroup for second in range(67, 128) for event in collector.collect(moments.at(NOW + second * S))]
    assert len(set(late)) == 23
    collector.close()


def test_a_group_of_the_cpu_controller_alone_is_reported_while_it_is_throttled(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("1 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n")
    for number in range(20):  # so that those which did nothing are not all among the largest
        (tmp_path / f"cgroup/cpu/group{number}").mkdir(parents=True)
    stat = tmp_path / "cgroup/cpu/group7/cpu.stat"
    collector = CgroupCollector(Host(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup"))
    reported = []
    for second in range(6):
        stat.write_text(f"nr_periods {10 * second}\nnr_throttled {9 * second}\nthrottled_time {second}000000\n")
        found = [event for event in collector.collect(NOW + second * S) if event.cgroup == "/group7"]
        reported += [event.cpu_throttled_us for event in found]
    collector.close()
    assert reported == [0, 1000, 2000, 3000, 4000, 5000]


@pytest.mark.parametrize(("groups", "said"), [(20, 0), (600, 1)])
def test_it_says_that_there_are_more_groups_than_are_watched(tmp_path, groups, said):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("1 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n")
    for number in range(groups):
        (tmp_path / f"cgroup/cpu/group{number}").mkdir(parents=True)
    collector = CgroupCollector(Host(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup"))
    list(collector.collect(NOW))
    assert len(collector.limitations) == said
    assert "beyond 500" in "".join(collector.limitations) or not said
    collector.close()


def test_a_machine_without_groups_is_unavailable(tmp_path):
    with pytest.raises(SourceUnavailableError, match="no control groups are mounted"):
        CgroupCollector(Host(proc=tmp_path, cgroup=tmp_path))


# --- text ---

MOUNTS = (
    b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    b"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    b"33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    b"34 31 0:31 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    b"35 31 0:32 / /mnt/a\\040b rw - cgroup2 none rw,nsdelegate\n"
    b"36 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    b"damaged line\n"
)


def test_mounts_of_both_versions():
    unified, cpu, memory = cgroup_mounts(MOUNTS)
    assert (str(unified.point), unified.version) == ("/mnt/a b", 2)
    assert (cpu.controllers, cpu.folder("/x/y")) == ({"cpu", "cpuacct"}, Path("/sys/fs/cgroup/cpu,cpuacct/x/y"))
    assert memory.folder("/docker/ab/c") == Path("/sys/fs/cgroup/memory/c")
    assert memory.folder("/elsewhere") is None
    assert memory.folder("/docker/abc") is None


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_mounts(text):
    assert cgroup_mounts(text) == []


V1 = {
    "cpuacct.usage": b"3341547000\n",
    "cpuacct.usage_user": b"2801664000\n",
    "cpuacct.usage_sys": b"539883000\n",
    "cpu.stat": b"nr_periods 167\nnr_throttled 166\nthrottled_time 18049193000\n",
    "cpu.cfs_quota_us": b"20000\n",
    "cpu.cfs_period_us": b"100000\n",
    "cpu.shares": b"512\n",
    "memory.usage_in_bytes": b"1437696\n",
    "memory.limit_in_bytes": b"33554432\n",
    "memory.failcnt": b"9\n",
    "memory.oom_control": b"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory.stat": b"cache 1\nrss 2\ntotal_cache 4096\ntotal_rss 8192\ntotal_shmem 1024\ntotal_dirty 5\ntotal_swap 6\n"
    b"total_pgmajfault 7\ntotal_workingset_refault_anon 3\ntotal_workingset_refault_file 4\n",
    "blkio.throttle.io_service_bytes_recursive": b"254:0 Read 2048\n254:0 Write 100\n8:0 Write 5\nTotal 9\n",
    "blkio.throttle.io_serviced_recursive": b"254:0 Read 2\n254:0 Write 1\n254:0 Total 3\nTotal 3\n",
    "pids.current": b"11\n",
    "pids.max": b"12\n",
    "pids.events": b"max 1\n",
}


def test_version_1_fills_the_same_columns_in_the_same_units():
    event = Cgroup(NOW, cgroup="/g")
    fill_v1(event, V1)
    assert (event.cpu_usage_us, event.cpu_user_us, event.cpu_system_us) == (3_341_547, 2_801_664, 539_883)
    assert (event.cpu_periods, event.cpu_throttled_periods, event.cpu_throttled_us) == (167, 166, 18_049_193)
    assert (event.cpu_quota_us, event.cpu_period_us, event.cpu_weight) == (20_000, 100_000, 512)
    assert (event.memory_current_bytes, event.memory_limit_bytes, event.memory_high_bytes) == (
        1_437_696,
        33_554_432,
        None,
    )
    assert (event.memory_anon_bytes, event.memory_file_bytes, event.memory_swap_bytes) == (8192, 4096, 6)
    assert (event.memory_shmem_bytes, event.memory_dirty_bytes) == (1024, 5)
    assert (event.memory_pgmajfault, event.memory_refaults) == (7, 7)
    assert (event.memory_max_events, event.memory_oom_kills) == (9, 2)
    assert (event.io_read_bytes, event.io_write_bytes, event.io_read_ios, event.io_write_ios) == (2048, 105, 2, 1)
    assert (event.pids_current, event.pids_limit, event.pids_limit_events) == (11, 12, 1)


def test_limits_of_devices_are_known_in_either_version_and_the_lowest_counts():
    first, second = Cgroup(NOW, cgroup="/g"), Cgroup(NOW, cgroup="/g")
    fill_v2(
        first,
        {
            "io.max": b"254:0 rbps=max wbps=1048576 riops=120 wiops=max\n7:0 rbps=max wbps=2097152 riops=80\n",
            "io.stat": b"254:0 rbytes=5 wbytes=600 rios=7 wios=8\n7:0 rbytes=5 wbytes=500 rios=3 wios=8\n",
        },
    )
    fill_v1(
        second,
        {
            "blkio.throttle.read_bps_device": b"",
            "blkio.throttle.write_bps_device": b"254:0 1048576\n7:0 2097152\n",
            "blkio.throttle.read_iops_device": b"254:0 120\n7:0 80\n",
            "blkio.throttle.write_iops_device": b"",
            "blkio.throttle.io_service_bytes_recursive": b"254:0 Read 5\n254:0 Write 600\n7:0 Read 5\n7:0 Write 500\n",
            "blkio.throttle.io_serviced_recursive": b"254:0 Read 7\n254:0 Write 8\n7:0 Read 3\n7:0 Write 8\n",
        },
    )
    for event in (first, second):
        assert (event.io_read_bytes_limit, event.io_write_bytes_limit) == (None, 1048576)
        assert (event.io_read_ios_limit, event.io_write_ios_limit) == (80, None)
        assert (event.io_limited_read_bytes, event.io_limited_write_bytes) == (None, 600)
        assert (event.io_limited_read_ios, event.io_limited_write_ios) == (3, None)


def test_no_limit_in_version_1_is_unknown():
    event = Cgroup(NOW, cgroup="/g")
    unlimited = {"memory.limit_in_bytes": b"9223372036854771712\n", "cpu.cfs_quota_us": b"-1\n", "pids.max": b"max\n"}
    fill_v1(event, V1 | unlimited)
    assert (event.memory_limit_bytes, event.cpu_quota_us, event.pids_limit) == (None, None, None)
    assert event.cpu_period_us == 100_000


def test_versions_together_make_one_row():
    event = Cgroup(NOW, cgroup="/g")
    fill_v2(event, {"cpu.stat": b"usage_usec 77\nuser_usec 70\nsystem_usec 7\n"})
    fill_v1(event, V1)
    assert (event.cpu_usage_us, event.cpu_throttled_us, event.memory_limit_bytes) == (77, 18_049_193, 33_554_432)
    assert event.pids_current == 11


@given(st.dictionaries(st.sampled_from([*V1, *V2_USE, *V2_LIMITS]), st.binary(max_size=80)))
def test_damaged_text_leaves_columns_unknown(texts):
    event = Cgroup(NOW, cgroup="/g")
    fill_v2(event, texts)
    fill_v1(event, texts)
    values = [getattr(event, name) for name in event.__struct_fields__[2:]]
    assert all(value is None or value >= 0 for value in values)


def test_a_number_is_a_limit_and_a_word_is_none():
    assert (limit(b"12\n"), limit(b"max\n"), limit(b""), limit(b"-1"), limit(None)) == (12, None, None, None, None)


def test_files_are_named_for_every_controller():
    named = (*V1_ACTIVITY.values(), *V1_USE.values(), *V1_LIMITS.values())
    assert set(V1) <= {name for files in named for name in files}


# --- groups made here ---


class Group:
    """A group of this test, in every hierarchy that lets it be made."""

    def __init__(self, name):
        self.name = name
        self.folders = []
        for mount in find_mounts(Host()):
            if mount.version == 2:
                for controller in ("cpu", "memory", "pids"):
                    self._try(mount.point / "cgroup.subtree_control", f"+{controller}")
            folder = mount.point / name
            folder.mkdir()
            self.folders.append(folder)

    @staticmethod
    def _try(file, text):
        try:
            file.write_text(text)
        except OSError:
            return False
        return True

    def set(self, *options):
        """Write the first of (file, value) that exists: version 2's way or version 1's."""
        for file, value in options:
            for folder in self.folders:
                if (folder / file).exists():
                    (folder / file).write_text(str(value))
                    return
        pytest.skip(f"no controller here has {options[0][0]}")

    def run(self, program):
        """Start a program that waits, put it into the group, and let it go."""
        child = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.stdin.readline()\n{program}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(child.pid))
        child.stdin.write(b"\n")
        child.stdin.flush()
        return child

    def remove(self):
        deadline = time.monotonic() + 30
        for folder in self.folders:
            for pid in (folder / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            while (folder / "cgroup.procs").read_text() and time.monotonic() < deadline:
                time.sleep(0.01)
            folder.rmdir()


@pytest.fixture
def group():
    if os.geteuid() != 0:
        pytest.skip("making control groups needs root")
    if not find_mounts(Host()):
        pytest.skip("no control groups are mounted here")
    made = Group(f"kernelsight-test-{os.getpid()}-{time.monotonic_ns()}")
    children = []
    start = made.run
    made.run = lambda program: children.append(start(program)) or children[-1]
    yield made
    for child in children:
        child.kill()
        with child:
            pass
    made.remove()


def until(group, found, deadline_s=30):
    collector = CgroupCollector(Host())
    end = time.monotonic() + deadline_s
    try:
        while time.monotonic() < end:
            for event in collector.collect(time.time_ns()):
                if event.cgroup == f"/{group.name}" and found(event):
                    return event
            time.sleep(0.02)
    finally:
        collector.close()
    raise AssertionError("not seen in time")


@pytest.mark.root
def test_a_group_over_its_cpu_quota_is_throttled(group):
    # So little that it is over it on a machine, too, that leaves it a twentieth of a CPU.
    group.set(("cpu.max", "2000 50000"), ("cpu.cfs_period_us", 50_000))
    group.set(("cpu.max", "2000 50000"), ("cpu.cfs_quota_us", 2_000))
    group.run("while True: pass")
    event = until(group, lambda event: (event.cpu_throttled_us or 0) > 100_000)
    assert (event.cpu_quota_us, event.cpu_period_us) == (2_000, 50_000)
    assert 0 < event.cpu_throttled_periods <= event.cpu_periods
    assert event.cpu_usage_us > 0

    def goes_on(later):  # the kernel counts the two at different moments
        return later.cpu_throttled_us > event.cpu_throttled_us and later.cpu_usage_us > event.cpu_usage_us

    assert until(group, goes_on).cpu_periods >= event.cpu_periods


@pytest.mark.root
def test_a_group_over_its_memory_limit_is_killed(group):
    group.set(("memory.max", 20 << 20), ("memory.limit_in_bytes", 20 << 20))
    group.set(("memory.swap.max", 0), ("memory.swappiness", 0))
    child = group.run("x = b'x' * (60 << 20)")
    assert child.wait(30) == -signal.SIGKILL
    event = until(group, lambda event: (event.memory_oom_kills or 0) > 0)
    assert event.memory_limit_bytes == 20 << 20
    assert event.memory_max_events > 0
    assert event.memory_current_bytes <= 20 << 20


@pytest.mark.root
def test_a_group_at_its_limit_of_tasks_may_not_fork(group):
    group.set(("pids.max", 2))
    group.run(
        "import subprocess, time\ntry: [subprocess.Popen(['sleep', '60']) for _ in range(4)]\nfinally: time.sleep(60)"
    )
    event = until(group, lambda event: event.pids_current == 2)
    assert event.pids_limit == 2
    if event.pids_limit_events is not None:
        assert until(group, lambda event: event.pids_limit_events > 0)


@pytest.mark.root
def test_a_group_that_is_removed_is_forgotten_with_its_files(group):
    before = len(list(Path("/proc/self/fd").iterdir()))
    moments = Moments()
    collector = CgroupCollector(Host(monotonic_ns=moments))
    assert any(event.cgroup == f"/{group.name}" for event in collector.collect(NOW))
    second = Group(group.name + "-b")
    second.remove()
    for step in range(3):
        list(collector.collect(moments.at(NOW + step * 6 * S)))
    assert f"/{group.name}-b" not in collector._groups
    collector.close()
    collector.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.root
def test_a_group_made_again_under_the_same_path_is_another_one(group):
    collector = CgroupCollector(Host())
    before = next(event for event in collector.collect(NOW) if event.cgroup == f"/{group.name}")
    group.remove()
    group.folders = []
    again = Group(group.name)
    group.folders = again.folders
    found = []
    for step in range(1, 4):
        found += [event for event in collector.collect(NOW + step * S) if event.cgroup == f"/{group.name}"]
    collector.close()
    assert found
    if before.cgroup_id is not None:
        assert found[-1].cgroup_id not in (None, before.cgroup_id)
