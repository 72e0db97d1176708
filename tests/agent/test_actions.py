"""Each action on real processes and control groups: what was shown is what is done, and undoing restores what was."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from own_processes import HOST, asked, executor, group, needs_v1, python, root, sleeper, stages, state, until

from kernelsight.agent.acting.action import actions
from kernelsight.agent.acting.io_priority import io_priority
from kernelsight.agent.acting.subject import RefusedError, StaleError, look
from kernelsight.agent.acting.subject import threads as threads_of
from kernelsight.agent.actions.ionice import schedulers
from kernelsight.collectors.privileges import Capability, missing

pytestmark = [pytest.mark.root, root]


def done(one, request):
    proposed = one.propose(request)
    return one.act(proposed, approved=True)


def test_renice_gives_every_thread_way_and_takes_it_back(tmp_path):
    program = (
        "import threading as t, time; t.Thread(target=time.sleep, args=(300,), daemon=True).start();"
        "print(flush=True); time.sleep(300)"
    )
    with sleeper(*python(program)) as process:
        process.stdout.readline()
        threads = threads_of(HOST, process.pid)
        assert len(threads) == 2
        os.setpriority(os.PRIO_PROCESS, threads[1], 3)
        one = executor(tmp_path)
        step = done(one, asked("renice", process, nice=12))
        assert [os.getpriority(os.PRIO_PROCESS, tid) for tid in threads] == [12, 12]
        one.undo(step.action_id, "test")
        assert [os.getpriority(os.PRIO_PROCESS, tid) for tid in threads] == [0, 3]
        assert stages(one) == ["proposed", "approved", "begun", "done", "undone"]


def test_renice_never_raises_a_priority(tmp_path):
    with sleeper() as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, 15)
        with pytest.raises(RefusedError, match="already"):
            executor(tmp_path).propose(asked("renice", process))
    with sleeper() as process, pytest.raises(RefusedError, match="nice"):
        executor(tmp_path).propose(asked("renice", process, nice=-5))


@pytest.mark.skipif(not schedulers(HOST) & {"bfq", "mq-deadline"}, reason="no I/O scheduler here heeds priorities")
def test_ionice_sets_the_class_and_takes_it_back(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        before = io_priority(process.pid)
        step = done(one, asked("ionice", process, io_class="idle"))
        assert io_priority(process.pid) >> 13 == 3
        one.undo(step.action_id, "test")
        assert io_priority(process.pid) == before


def test_ionice_is_refused_where_nothing_heeds_it(tmp_path):
    queue = tmp_path / "sys/block/sda/queue"
    queue.mkdir(parents=True)
    (queue / "scheduler").write_text("[none] mq-deadline\n")
    one = executor(tmp_path)
    one.host = type(HOST)(sys=tmp_path / "sys")
    with sleeper() as process, pytest.raises(RefusedError, match="no disk has a scheduler"):
        one.propose(asked("ionice", process))


def test_a_paused_process_goes_on_when_that_is_undone(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        step = done(one, asked("pause", process))
        until(lambda: state(process.pid) == "T", "stopped")
        with pytest.raises(RefusedError, match="stopped already"):
            one.propose(asked("pause", process))
        one.undo(step.action_id, "test")
        until(lambda: state(process.pid) == "S", "going on")


def test_terminate_sends_sigterm_and_cannot_be_undone(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        step = done(one, asked("terminate", process))
        assert process.wait(10) == -signal.SIGTERM
        with pytest.raises(RefusedError, match="cannot be undone"):
            one.undo(step.action_id, "test")


@needs_v1
def test_a_process_gets_a_quota_in_a_group_of_its_own_that_goes_away_again(tmp_path):
    spin = "print(flush=True)\nwhile True: pass"
    with group("cpu") as (path, folder), sleeper(*python(spin)) as process:
        process.stdout.readline()
        (folder / "cgroup.procs").write_text(str(process.pid))
        one = executor(tmp_path)
        share = 0.2 / (os.cpu_count() or 1)
        one.policy = type(one.policy)("auto")
        step = done(one, asked("limit_cpu", process, share=max(share, 0.1)))
        own = folder / f"kernelsight-{process.pid}"
        assert (own / "cgroup.procs").read_text().split() == [str(process.pid)]
        assert look(HOST, process.pid).group("cpu") == f"{path}/{own.name}", "below the group that it was in"
        began, used = time.monotonic(), cpu_seconds(process.pid)
        time.sleep(1.0)  # what is measured is how much it may run in this time
        allowed = max(share, 0.1) * (os.cpu_count() or 1)
        assert cpu_seconds(process.pid) - used < 1.5 * allowed * (time.monotonic() - began) + 0.1
        one.undo(step.action_id, "test")
        assert not own.exists()
        assert look(HOST, process.pid).group("cpu") == path


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@needs_v1
def test_a_group_gets_a_quota_and_more_of_it(tmp_path):
    with group("cpu") as (path, folder), sleeper() as process:
        (folder / "cgroup.procs").write_text(str(process.pid))
        one = executor(tmp_path)
        step = done(one, asked("limit_cpu", path, share=0.25))
        period, cpus = 100_000, os.cpu_count() or 1
        assert (folder / "cpu.cfs_quota_us").read_text().strip() == str(period * cpus // 4)
        one.undo(step.action_id, "test")
        assert (folder / "cpu.cfs_quota_us").read_text().strip() == "-1"
        (folder / "cpu.cfs_quota_us").write_text("10000")
        step = done(one, asked("raise_cpu_quota", path))
        assert (folder / "cpu.cfs_quota_us").read_text().strip() == "20000"
        (folder / "cpu.cfs_quota_us").write_text("30000")
        with pytest.raises(RefusedError, match="somebody has changed it"):
            one.undo(step.action_id, "test")
        assert (folder / "cpu.cfs_quota_us").read_text().strip() == "30000", "what somebody else set is theirs"


@needs_v1
def test_the_memory_of_a_group_is_bounded_and_raised(tmp_path):
    with group("memory") as (path, folder), sleeper() as process:
        (folder / "cgroup.procs").write_text(str(process.pid))
        before = (folder / "memory.limit_in_bytes").read_text()
        one = executor(tmp_path)
        step = done(one, asked("limit_memory", path))
        limit = int((folder / "memory.limit_in_bytes").read_text())
        assert int((folder / "memory.usage_in_bytes").read_text()) < limit < int(before)
        raised = done(one, asked("raise_memory_limit", path, factor=3))
        assert int((folder / "memory.limit_in_bytes").read_text()) > limit
        one.undo(raised.action_id, "test")
        assert int((folder / "memory.limit_in_bytes").read_text()) == limit
        one.undo(step.action_id, "test")
        assert (folder / "memory.limit_in_bytes").read_text() == before


@needs_v1
def test_a_process_that_forks_is_bounded(tmp_path):
    program = """
import os, sys
print(flush=True)
sys.stdin.readline()
children, error = [], None
for _ in range(40):
    try:
        pid = os.fork()
    except OSError as failed:
        error = failed.errno
        break
    if pid == 0:
        sys.stdin.readline()
        os._exit(0)
    children.append(pid)
print(len(children), error, flush=True)
for pid in children:
    os.kill(pid, 9)
    os.wait()
print("ended", flush=True)
sys.stdin.readline()
"""
    process = subprocess.Popen(python(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        one = executor(tmp_path)
        step = done(one, asked("limit_tasks", process, most=20))
        process.stdin.write("go\n")
        process.stdin.flush()
        made, error = process.stdout.readline().split()
        assert (int(made), error) == (19, "11"), "EAGAIN from the twentieth on: the process itself is a task, too"
        assert process.stdout.readline() == "ended\n"
        one.undo(step.action_id, "test")
        assert look(HOST, process.pid).group("pids") == "/"
    finally:
        process.kill()
        process.communicate()


def test_the_limit_of_files_is_raised_and_put_back(tmp_path):
    with sleeper() as process:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 128))
        one = executor(tmp_path)
        step = done(one, asked("raise_file_limit", process, factor=4))
        beyond = not missing((Capability.CAP_SYS_RESOURCE,))
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == ((256, 256) if beyond else (128, 128))
        one.undo(step.action_id, "test")
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (64, 128)


def test_a_limit_is_not_put_back_below_what_is_used_by_now(tmp_path):
    wait = "print(flush=True); sys.stdin.readline(); "
    program = f"import os, sys; {wait} files = [os.dup(0) for _ in range(50)]; {wait}"
    with sleeper(*python(program)) as process:
        process.stdout.readline()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (40, 80))
        one = executor(tmp_path)
        step = done(one, asked("raise_file_limit", process))
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        process.stdout.readline()
        with pytest.raises(RefusedError, match="files open"):
            one.undo(step.action_id, "test")
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (80, 80)
        assert stages(one)[-1] == "undo_failed"


@needs_v1
def test_memory_that_is_used_by_now_is_left_to_a_group(tmp_path):
    wait = "print(flush=True); sys.stdin.readline(); "
    program = f"import sys; {wait} held = bytearray(24 << 20); {wait}"
    with group("memory") as (path, folder), sleeper(*python(program)) as process:
        process.stdout.readline()
        (folder / "cgroup.procs").write_text(str(process.pid))
        (folder / "memory.limit_in_bytes").write_text(str(16 << 20))
        one = executor(tmp_path)
        step = done(one, asked("raise_memory_limit", path, factor=4))
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        process.stdout.readline()
        with pytest.raises(RefusedError, match="less than what is used"):
            one.undo(step.action_id, "test")
        assert int((folder / "memory.limit_in_bytes").read_text()) == 64 << 20
        process.kill()
        process.wait()


def test_a_sysctl_is_set_only_to_what_the_policy_lists(tmp_path):
    path = HOST.proc / "sys/net/ipv4/tcp_fin_timeout"
    before = path.read_text().strip()
    wanted = str(int(before) + 1)
    policy = f'mode = "auto"\n[actions.sysctl]\nallowed = {{ "net.ipv4.tcp_fin_timeout" = ["{wanted}"] }}'
    one = executor(tmp_path, policy)
    for name, value in [
        ("net.ipv4.tcp_fin_timeout", "1"),
        ("kernel.panic", wanted),
        ("../../tmp/x", wanted),
        ("net/ipv4/tcp_fin_timeout", wanted),
    ]:
        with pytest.raises(RefusedError, match="does not list"):
            one.propose(asked("sysctl", None, name=name, value=value))
    step = done(one, asked("sysctl", None, name="net.ipv4.tcp_fin_timeout", value=wanted))
    assert path.read_text().strip() == wanted
    one.undo(step.action_id, "test")
    assert path.read_text().strip() == before


def test_caches_are_dropped_in_a_recorded_machine(tmp_path):
    """Not in this one: everybody else's reads would pay for it."""
    file = tmp_path / "proc/sys/vm/drop_caches"
    file.parent.mkdir(parents=True)
    file.write_text("0")
    one = executor(tmp_path)
    one.host = type(HOST)(proc=tmp_path / "proc", cgroup=tmp_path)
    done(one, asked("drop_caches", None))
    assert file.read_text() == "1"


def test_a_process_that_ends_before_the_deed_is_not_confused_with_the_next(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("pause", process))
        process.kill()
        process.wait()
        with pytest.raises(StaleError):
            one.act(proposed, approved=True)
        assert stages(one) == ["proposed", "approved", "refused"]


def test_nothing_is_planned_that_is_not_shown(tmp_path):
    """A plan changes nothing: all that an action writes is in its changes."""
    with sleeper() as process:
        for name, registered in actions().items():
            if "process" in registered.targets:
                before = snapshot(process.pid)
                with contextlib.suppress(RefusedError):
                    executor(tmp_path).plan(asked(name, process))
                assert snapshot(process.pid) == before, name


def snapshot(pid):
    one = look(HOST, pid)
    return one, resource.prlimit(pid, resource.RLIMIT_NOFILE), io_priority(pid)
