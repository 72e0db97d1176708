"""Where a limit is set in control groups of version 2: planned over a tree of files that says what the kernel would.

Version 1 is tested on the machine's own groups (test_actions); a controller can be in one version only.
"""

from __future__ import annotations

import os

import pytest
from own_processes import asked, sleeper
from version_2 import Tree

from kernelsight.agent.acting.changes import MakeGroup, MoveProcess, SetFile
from kernelsight.agent.acting.subject import RefusedError


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


QUOTA = f"{50_000 * (os.cpu_count() or 1)} 100000"


def test_a_process_in_the_root_gets_a_group_below_it(tree, tmp_path):
    with sleeper() as process:
        tree.put(process.pid, "/")
        made, limited, moved = tree.plan(tmp_path, asked("limit_cpu", process))
    own = str(tree.root / f"kernelsight-{process.pid}")
    assert made == MakeGroup(path=own)
    assert limited == SetFile(path=f"{own}/cpu.max", former="max 100000", value=QUOTA)
    assert isinstance(moved, MoveProcess)
    assert (moved.former, moved.path) == (str(tree.root), own)


def test_a_process_alone_in_its_group_is_limited_there(tree, tmp_path):
    with sleeper() as process:
        service = tree.group("/a.service", members=(process.pid,))
        tree.put(process.pid, "/a.service")
        [limited] = tree.plan(tmp_path, asked("limit_cpu", process))
    assert limited == SetFile(path=str(service / "cpu.max"), former="max 100000", value=QUOTA)


def test_a_process_among_others_gets_a_group_beside_theirs(tree, tmp_path):
    with sleeper() as process:
        tree.group("/user", handed_on="cpu pids")
        shared = tree.group("/user/session", members=(process.pid, 1))
        tree.put(process.pid, "/user/session")
        (tree.proc / "1").symlink_to("/proc/1")
        *_, moved = tree.plan(tmp_path, asked("limit_tasks", process))
    assert (moved.former, moved.path) == (str(shared), str(tree.root / f"user/kernelsight-{process.pid}"))


@pytest.mark.parametrize("limit", [{"memory.max": "1000000"}, {"pids.max": "9"}, {"cpu.max": "20000 100000"}])
def test_a_process_may_not_escape_a_limit_of_its_group(tree, tmp_path, limit):
    with sleeper() as process:
        tree.group("/user", handed_on="cpu pids memory")
        tree.group("/user/session", limits=limit, members=(process.pid, 1))
        tree.put(process.pid, "/user/session")
        (tree.proc / "1").symlink_to("/proc/1")
        with pytest.raises(RefusedError, match=f"would escape its {next(iter(limit))}"):
            tree.plan(tmp_path, asked("limit_cpu", process))


def test_a_controller_that_is_not_handed_on_limits_nothing(tree, tmp_path):
    (tree.root / "cgroup.subtree_control").write_text("memory")
    with sleeper() as process:
        tree.put(process.pid, "/")
        with pytest.raises(RefusedError, match="does not hand cpu on"):
            tree.plan(tmp_path, asked("limit_cpu", process))


def test_limits_of_groups_are_read_and_raised(tree, tmp_path):
    service = tree.group("/a.service", limits={"cpu.max": "20000 100000", "memory.max": "104857600"})
    (service / "memory.current").write_text("50000000")
    (tree.proc / "meminfo").write_text("MemAvailable: 8000000 kB\n")
    [quota] = tree.plan(tmp_path, asked("raise_cpu_quota", "/a.service"))
    assert (quota.former, quota.value) == ("20000 100000", "40000 100000")
    [memory] = tree.plan(tmp_path, asked("raise_memory_limit", "/a.service"))
    assert memory.path.endswith("memory.max")
    assert int(memory.value) == 157_286_400  # half as much again
    [high] = tree.plan(tmp_path, asked("limit_memory", "/a.service"))
    assert high.path.endswith("memory.high")
    assert 50_000_000 < int(high.value) < 104_857_600


@pytest.mark.parametrize("path", ["/", "/../cgroup", "/none", "relative", ""])
def test_a_path_that_is_no_group_of_it_is_refused(tree, tmp_path, path):
    with pytest.raises(RefusedError):
        tree.plan(tmp_path, asked("limit_cpu", path))
