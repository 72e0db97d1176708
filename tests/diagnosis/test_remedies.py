"""Each kind of remedy has a command for each kind of target, which a shell understands and which does what it says."""

from __future__ import annotations

import ast
import os
import resource
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

import kernelsight.diagnosis
from kernelsight.diagnosis.commands import shell_command
from kernelsight.diagnosis.model import Entity, Finding, Parameter, Proposal
from kernelsight.diagnosis.remedies import (
    DOUBLE_SYSCTL,
    DROP_CACHES,
    IONICE,
    LIMIT_CPU,
    LIMIT_IO,
    LIMIT_MEMORY,
    LIMIT_TASKS,
    LOOK,
    MACHINE,
    PAUSE,
    RAISE_CPU_QUOTA,
    RAISE_FILE_LIMIT,
    RAISE_IO_LIMIT,
    RAISE_MEMORY_LIMIT,
    RAISE_RESOURCE_LIMIT,
    RAISE_TASK_LIMIT,
    RENICE,
    RESTART,
    SET_SYSCTL,
    TERMINATE,
    remedies,
)
from kernelsight.diagnosis.shell import SPLIT, UNIFIED

FINDING = Finding("cpu_saturation", Entity("process", "70", "x"), (), 0, 0.9, (), "", ())
EVERY = [(remedy, kind) for remedy in remedies().values() for kind in remedy.commands]
NO_PID = "4194305"
"""One more than any process can have (proc(5), pid_max)."""
SERVICE = "/system.slice/web.service"
CONTAINER = f"/system.slice/docker-3f1c0a9b2d4e{52 * '0'}.scope"
SET_PROPERTY = "systemctl set-property --runtime web.service"
FOLDER = f"/sys/fs/cgroup{SERVICE}"
MEMORY_LIMITS = [("MemoryHigh", "memory.high"), ("MemoryMax", "memory.max")]
PIDS_MAX = "/sys/fs/cgroup/batch/pids.max"
TARGETS = {
    "process": Entity("process", "9622", "crunch"),
    "program": Entity("program", "crunch", "crunch"),
    "cgroup": Entity("cgroup", "/batch", "/batch"),
    "device": Entity("device", "sda", "sda"),
    "mount": Entity("mount", "/var", "/var"),
    "interface": Entity("interface", "eth0", "eth0"),
    "listener": Entity("listener", "0.0.0.0:80", "0.0.0.0:80"),
    "rule": Entity("rule", "input", "input"),
    "limit": Entity("limit", "RLIMIT_MSGQUEUE", "RLIMIT_MSGQUEUE"),
    "machine": MACHINE,
}
GIVEN = {"device": "sda", "name": "vm.max_map_count", "value": "262144", "resource": "RLIMIT_MSGQUEUE"}


def multiple(factor, unlimited, file):
    return f"""$(awk '{{if ($1 == "max") print "{unlimited}"; else printf "%.0f", {factor} * $1}}' {file})"""


def proposal(remedy, kind, group=""):
    given = {name: GIVEN[name] for name in (*remedy.needs, *remedy.takes) if name in GIVEN}
    return msgspec.structs.replace(remedy.on(TARGETS[kind], "do it", **given), cgroup=group)


def typed(remedy, target, hierarchies=UNIFIED, group="", **given):
    return shell_command(FINDING, msgspec.structs.replace(remedy.on(target, "", **given), cgroup=group), hierarchies)


@pytest.mark.parametrize(("remedy", "kind"), EVERY, ids=[f"{remedy.name}-{kind}" for remedy, kind in EVERY])
@pytest.mark.parametrize("hierarchies", [UNIFIED, SPLIT], ids=["v2", "v1"])
@pytest.mark.parametrize("group", ["", "/batch", SERVICE])
def test_every_remedy_has_a_command_that_a_shell_understands(remedy, kind, hierarchies, group):
    command = shell_command(FINDING, proposal(remedy, kind, group), hierarchies)
    assert command
    subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.mark.parametrize(("remedy", "kind"), EVERY, ids=[f"{remedy.name}-{kind}" for remedy, kind in EVERY])
@pytest.mark.parametrize("place", ["/", "/system.slice/web.service/", "/system.slice/"])
@pytest.mark.parametrize("name", ["a\nb", "$(touch owned)", "'; touch owned; '", "-x", "../..", "a b"])
def test_a_hostile_name_is_one_word_or_gives_no_command(tmp_path, remedy, kind, name, place):
    """The command is run where no tool is found and nothing is written: what the name says must not happen."""
    target = Entity(kind, NO_PID if kind == "process" else f"{place}{name}" if kind == "cgroup" else name, name)
    given = tuple(Parameter(needed, name) for needed in (*remedy.needs, *remedy.takes))
    command = shell_command(FINDING, Proposal(remedy.name, target, "", given, f"{place}{name}.service"), UNIFIED)
    (tmp_path / "bin").mkdir()
    subprocess.run(["/bin/bash", "-r", "-c", command], cwd=tmp_path, env={"PATH": "/nowhere"}, check=False,
                   capture_output=True)  # fmt: skip
    assert not (tmp_path / "owned").exists()
    assert "\n" not in command


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (typed(RENICE, TARGETS["process"]), "renice -n 10 -p 9622"),
        (typed(RENICE, TARGETS["program"]), "pgrep -x crunch | xargs -r renice -n 10 -p"),
        (typed(IONICE, TARGETS["process"]), "ionice -c 3 -p 9622"),
        (
            typed(LIMIT_CPU, TARGETS["process"], group=SERVICE),
            "systemctl set-property --runtime web.service CPUQuota=$((50 * $(nproc)))%",
        ),
        (
            typed(LIMIT_CPU, TARGETS["cgroup"]),
            'echo "$((50000 * $(nproc))) 100000" > /sys/fs/cgroup/batch/cpu.max',
        ),
        (
            typed(LIMIT_CPU, TARGETS["cgroup"], SPLIT),
            'echo "$((50000 * $(nproc)))" > /sys/fs/cgroup/cpu/batch/cpu.cfs_quota_us',
        ),
        (
            typed(LIMIT_IO, TARGETS["cgroup"], device="sda"),
            'echo "$(cat /sys/class/block/sda/dev) rbps=10485760 wbps=10485760" > /sys/fs/cgroup/batch/io.max',
        ),
        (
            typed(LIMIT_IO, TARGETS["process"], group=SERVICE, device="sda"),
            f'{SET_PROPERTY} IOReadBandwidthMax="/dev/sda 10M" IOWriteBandwidthMax="/dev/sda 10M"',
        ),
        (
            typed(LIMIT_MEMORY, TARGETS["process"], group=SERVICE),
            f"systemctl set-property --runtime web.service MemoryHigh=$(($(cat {FOLDER}/memory.current) / 10 * 11))",
        ),
        (
            typed(LIMIT_TASKS, Entity("cgroup", SERVICE, SERVICE)),
            "systemctl set-property --runtime web.service TasksMax=100",
        ),
        (
            typed(LIMIT_TASKS, Entity("cgroup", "/system.slice/_cpu.service", "_cpu.service")),
            "systemctl set-property --runtime cpu.service TasksMax=100",
        ),
        (
            typed(RAISE_CPU_QUOTA, TARGETS["cgroup"]),
            "echo \"$(awk '{print 2 * $1, $2}' /sys/fs/cgroup/batch/cpu.max)\" > /sys/fs/cgroup/batch/cpu.max",
        ),
        (
            typed(RAISE_MEMORY_LIMIT, Entity("cgroup", SERVICE, SERVICE)),
            f"{SET_PROPERTY} "
            + " ".join(f"{key}={multiple('1.5', 'infinity', f'{FOLDER}/{file}')}" for key, file in MEMORY_LIMITS),
        ),
        (
            typed(RAISE_TASK_LIMIT, TARGETS["cgroup"]),
            f'echo "{multiple("2", "max", PIDS_MAX)}" > {PIDS_MAX}',
        ),
        (
            typed(SET_SYSCTL, MACHINE, name="net.ipv4.tcp_tw_reuse", value=1),
            "sysctl -w net.ipv4.tcp_tw_reuse=1",
        ),
        (
            typed(SET_SYSCTL, MACHINE, name="net.ipv4.ip_local_port_range", value="1024 65535"),
            "sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
        ),
        (typed(DROP_CACHES, MACHINE, what=2), "sysctl -w vm.drop_caches=2"),
        (typed(RESTART, TARGETS["process"], group=SERVICE), "systemctl restart web.service"),
        (typed(RESTART, TARGETS["process"], group=f"{SERVICE}/workers"), "systemctl restart web.service"),
        (
            typed(RESTART, TARGETS["process"], group="/user.slice/user@1000.service/app.slice/a.service"),
            "kill 9622  # no service is known that starts it again: start it by hand",
        ),
        (
            typed(RESTART, TARGETS["process"]),
            "kill 9622  # no service is known that starts it again: start it by hand",
        ),
        (typed(RESTART, TARGETS["process"], group=CONTAINER), "docker restart 3f1c0a9b2d4e"),
        (
            typed(LIMIT_TASKS, TARGETS["process"], group=f"{CONTAINER}/system.slice/a.service"),
            f"echo 100 > /sys/fs/cgroup{CONTAINER}/system.slice/a.service/pids.max",
        ),
        (
            typed(LIMIT_TASKS, Entity("cgroup", CONTAINER, "x")),
            f"systemctl set-property --runtime {Path(CONTAINER).name} TasksMax=100",
        ),
        (typed(TERMINATE, TARGETS["process"]), "kill 9622"),
        (typed(PAUSE, TARGETS["process"]), "kill -STOP 9622"),
        (typed(LOOK, TARGETS["listener"]), "ss -ltunp sport = :80"),
        (typed(SET_SYSCTL, MACHINE, name="kernel.core_pattern", value="|/tmp/x"), ""),
        (typed(RENICE, Entity("process", "0", "swapper")), ""),
        (typed(RENICE, Entity("process", "70; reboot", "x")), ""),
        (typed(LIMIT_CPU, Entity("cgroup", "/", "/")), ""),
    ],
)  # fmt: skip
def test_a_remedy_is_the_command_that_a_person_would_type(command, meant):
    assert command == meant


def test_a_remedy_for_another_kind_of_target_is_refused_where_it_is_proposed():
    with pytest.raises(TypeError, match="renice is for a process or program, not for a cgroup"):
        RENICE.on(TARGETS["cgroup"], "give way")
    with pytest.raises(TypeError, match="sysctl needs the parameter value"):
        SET_SYSCTL.on(MACHINE, "set it", name="vm.swappiness")
    with pytest.raises(TypeError, match="renice has no parameter nice"):
        RENICE.on(TARGETS["process"], "give way", nice=19)


def test_a_proposal_of_a_kind_that_is_not_declared_looks_only():
    """As of a diagnosis that an earlier version recorded."""
    old = Proposal("raise_limit", TARGETS["process"], "raise it")
    assert shell_command(FINDING, old).startswith("ps ")
    assert shell_command(FINDING, Proposal("renice", TARGETS["cgroup"], "give way")).startswith("systemd-cgls ")


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("action", [*remedies(), "raise_limit"])
def test_whatever_a_proposal_is_about_has_a_command_or_none_and_never_an_error(kind, action):
    assert isinstance(shell_command(FINDING, Proposal(action, Entity(kind, "x", "x"), "raise it")), str)


def test_nothing_proposes_but_by_a_declared_remedy():
    """So that a remedy for a target that it is not for fails at once, and none is proposed that nobody declared."""
    folder = Path(kernelsight.diagnosis.__file__).parent
    calls = [
        f"{path.name}:{node.lineno}"
        for path in folder.rglob("*.py")
        if path.name != "remedies.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Proposal"
    ]
    assert calls == []


# --- run for real -----------------------------------------------------------------------------------


def run(command):
    return subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def process():
    with subprocess.Popen(["sleep", "300"]) as sleeping:
        try:
            yield sleeping
        finally:
            sleeping.kill()


def entity(process):
    return Entity("process", str(process.pid), "sleep")


def test_a_process_is_given_a_lower_priority_and_more_files_and_is_stopped_and_ended(process):
    run(typed(RENICE, entity(process)))
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 10
    run(typed(IONICE, entity(process)))
    assert run(f"ionice -p {process.pid}").strip() == "idle"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (100, hard))
    run(typed(RAISE_FILE_LIMIT, entity(process)))
    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (200, hard)
    run(typed(PAUSE, entity(process)))
    assert os.waitid(os.P_PID, process.pid, os.WSTOPPED).si_status == signal.SIGSTOP
    process.send_signal(signal.SIGCONT)
    run(typed(RESTART, entity(process)))
    assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("before", "after"),
    [((3000000000, -1), (6000000000, -1)), ((100, 5000), (200, 5000)), ((-1, -1), (-1, -1))],
)
def test_a_limit_of_a_process_is_doubled_and_its_hard_limit_is_not_lowered(process, before, after):
    resource.prlimit(process.pid, resource.RLIMIT_CPU, before)
    run(typed(RAISE_RESOURCE_LIMIT, entity(process), resource="RLIMIT_CPU"))
    assert resource.prlimit(process.pid, resource.RLIMIT_CPU) == after


def test_looking_at_a_process_shows_it(process):
    assert "sleep 300" in run(typed(LOOK, entity(process)))


def test_doubling_a_parameter_doubles_each_of_its_numbers(tmp_path):
    """The numbers are those of a recorded machine: `sysctl` is a stand-in that prints them, or writes down the new."""
    stand_in = tmp_path / "sysctl"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = -n ] && echo "4096 16384 3000000000" || echo "$2" > {tmp_path}/written\n')
    stand_in.chmod(0o755)
    run(f"PATH={tmp_path}:$PATH; " + typed(DOUBLE_SYSCTL, MACHINE, name="net.ipv4.tcp_mem"))
    assert (tmp_path / "written").read_text().split() == ["net.ipv4.tcp_mem=8192", "32768", "6000000000"]


V1 = Path("/sys/fs/cgroup")
needs_v1 = pytest.mark.skipif(
    os.geteuid() != 0 or not all((V1 / name / "cgroup.procs").exists() for name in ("cpu", "memory", "pids", "blkio")),
    reason="needs root, and control groups of version 1 with the controllers cpu, memory, pids and blkio",
)


@pytest.fixture
def group():
    path = f"/test-remedies-{os.getpid()}"
    folders = {name: V1 / name / path[1:] for name in ("cpu", "memory", "pids", "blkio")}
    for folder in folders.values():
        folder.mkdir()
    yield Entity("cgroup", path, path), folders
    for folder in folders.values():
        for pid in (folder / "cgroup.procs").read_text().split():
            (folder.parent / "cgroup.procs").write_text(pid)
        folder.rmdir()


@needs_v1
@pytest.mark.root
def test_limits_of_a_group_of_version_1_are_set_and_raised(group):
    target, folders = group
    quota, period = folders["cpu"] / "cpu.cfs_quota_us", 100_000
    run(typed(LIMIT_CPU, target, SPLIT))
    half = period * len(os.sched_getaffinity(0)) // 2
    assert int(quota.read_text()) == half
    run(typed(RAISE_CPU_QUOTA, target, SPLIT))
    assert int(quota.read_text()) == 2 * half
    limit = folders["memory"] / "memory.limit_in_bytes"
    limit.write_text(str(100 << 20))
    run(typed(RAISE_MEMORY_LIMIT, target, SPLIT))
    assert int(limit.read_text()) == 150 << 20
    run(typed(LIMIT_TASKS, target, SPLIT))
    run(typed(RAISE_TASK_LIMIT, target, SPLIT))
    assert (folders["pids"] / "pids.max").read_text().strip() == "200"


@needs_v1
@pytest.mark.root
def test_limits_of_the_disks_of_a_group_are_set_and_doubled(group):
    target, folders = group
    disk = next((path for path in Path("/sys/block").iterdir() if (path / "device").exists()), None)
    if disk is None:
        pytest.skip("this machine has no disk")
    file = folders["blkio"] / "blkio.throttle.read_bps_device"
    run(typed(LIMIT_IO, target, SPLIT, device=disk.name))
    number = (disk / "dev").read_text().strip()
    assert file.read_text().split() == [number, str(10 << 20)]
    run(typed(RAISE_IO_LIMIT, target, SPLIT))
    assert file.read_text().split() == [number, str(20 << 20)]


@needs_v1
@pytest.mark.root
def test_a_process_without_a_group_is_limited_in_one_of_its_own(process):
    folder = V1 / f"cpu/limited-{process.pid}"
    try:
        run(typed(LIMIT_CPU, entity(process), SPLIT))
        assert (folder / "cgroup.procs").read_text().split() == [str(process.pid)]
        assert int((folder / "cpu.cfs_quota_us").read_text()) > 0
    finally:
        process.kill()
        process.wait()
        folder.rmdir()


def test_limits_of_the_disks_of_a_group_of_version_2_are_doubled(tmp_path):
    """What the command writes for the lines of an io.max, which in this test is read from one file and printed."""
    file = tmp_path / "io.max"
    file.write_text("8:0 rbps=3000000000 wbps=max riops=100 wiops=max\n8:16 rbps=max wbps=10 riops=max wiops=max\n")
    command = typed(RAISE_IO_LIMIT, TARGETS["cgroup"]).rpartition(" > ")[0]
    written = run(command.replace("/sys/fs/cgroup/batch/io.max", str(file)))
    assert written.splitlines() == [
        "8:0 rbps=6000000000 wbps=max riops=200 wiops=max",
        "8:16 rbps=max wbps=20 riops=max wiops=max",
    ]


@pytest.mark.parametrize(
    ("remedy", "limits", "raised"),
    [
        (RAISE_MEMORY_LIMIT, {"memory.high": "3000000000", "memory.max": "max"}, ["4500000000", "max"]),
        (RAISE_MEMORY_LIMIT, {"memory.high": "max", "memory.max": "4096"}, ["max", "6144"]),
        (RAISE_TASK_LIMIT, {"pids.max": "100"}, ["200"]),
        (RAISE_TASK_LIMIT, {"pids.max": "max"}, ["max"]),
    ],
)
def test_a_limit_that_a_group_does_not_have_is_not_made_0(tmp_path, remedy, limits, raised):
    """The shell's arithmetic takes `max` for 0, and a memory.max of 0 ends everything in the group."""
    for name, value in limits.items():
        (tmp_path / name).write_text(f"{value}\n")
    run(typed(remedy, TARGETS["cgroup"]).replace("/sys/fs/cgroup/batch", str(tmp_path)))
    assert [(tmp_path / name).read_text().strip() for name in limits] == raised
    in_unit = typed(remedy, Entity("cgroup", SERVICE, SERVICE)).replace(FOLDER, str(tmp_path))
    shown = run(in_unit.replace("systemctl", "echo")).split()[3:]
    factor = 1.5 if remedy is RAISE_MEMORY_LIMIT else 2
    again = ["infinity" if value == "max" else f"{factor * int(value):.0f}" for value in raised]
    assert [value.partition("=")[2] for value in shown] == again
