"""What the collectors can do with few capabilities, and that they keep no others."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from capable import COMMAND, PATIENCE_S, PYTHON, as_nobody, parse, sets, threads

from kernelsight.collectors.privileges import BPF, OTHERS_PROCESSES, Capability, effective, listed
from kernelsight.events.perf import Perf
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.events.syscalls import Syscall

NAMES = ("io_latency", "blocked_task", "filesystem", "load", "perf", "process", "scheduler", "syscall", "wait")
ON_BPF = ("io_latency", "blocked_task", "scheduler", "syscall", "wait")
ALL = (*BPF, *OTHERS_PROCESSES)

root = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give some of its capabilities to another"),
]


@pytest.fixture
def sleeper():
    """Pid of a process of root's that sleeps 30 ms at a time."""
    with subprocess.Popen([*PYTHON, "-c", "import time\nwhile True: time.sleep(0.03)"]) as process:
        yield process.pid
        process.kill()


def collect(*prefix):
    options = ["--interval", "0.2", "--duration", "1", "-o", "include_waits=true"]
    done = subprocess.run(
        [*prefix, *COMMAND, "collect", *NAMES, *options], capture_output=True, check=False, timeout=PATIENCE_S
    )
    return parse(done.stdout, done.stderr, done.returncode)


@contextlib.contextmanager
def collecting(*arguments):
    """A collector of root's that has begun: its first events are there."""
    command = [*COMMAND, "collect", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            first = process.stdout.readline()
            assert first, process.stderr.read()
            yield process
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()


class TestAsNobody:
    pytestmark = root

    def test_the_tracers_run_with_four_capabilities(self, sleeper):
        ran = collect(*as_nobody(*ALL))
        assert (ran.code, ran.log) == (0, [])
        assert {report.status for report in ran.reports.values()} == {"running"}
        assert not [report.reason for report in ran.reports.values() if "CAP_" in (report.reason or "")]
        assert {ran.reports[name].source for name in (*ON_BPF, "process")} == {"bpf"}
        seen = {kind: [e for e in ran.events if isinstance(e, kind) and e.pid == sleeper] for kind in (
            Process, SchedProcess, Syscall, Wait,
        )}  # fmt: skip
        assert all(seen.values()), seen
        assert seen[Process][0].fds >= 3
        assert {event.syscall_name for event in seen[Syscall]} == {"clock_nanosleep"}

    @pytest.mark.parametrize("lacking", BPF)
    def test_without_one_of_the_tracers_each_says_which_and_the_rest_goes_on(self, lacking, sleeper):
        ran = collect(*as_nobody(*(one for one in ALL if one != lacking)))
        assert ran.code == 0
        (line,) = ran.log
        assert f"not permitted without {lacking.name}; run as root" in line
        for name in ON_BPF:
            assert re.search(rf"\b{name}\b", line)
            assert ran.reports[name].status == "unavailable"
        assert ran.reports["process"].source == "procfs"
        assert any(isinstance(event, Process) and event.pid == sleeper for event in ran.events)
        assert any(isinstance(event, Perf) for event in ran.events) == (lacking != Capability.CAP_PERFMON)

    def test_without_a_look_at_others_processes_their_columns_stay_empty_and_it_is_said(self, sleeper):
        ran = collect(*as_nobody(*BPF))
        assert (ran.code, ran.log) == (0, [])
        assert "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" in ran.reports["blocked_task"].reason
        assert {ran.reports[name].status for name in NAMES} == {"running"}
        assert any(isinstance(event, Wait) and event.pid == sleeper for event in ran.events)

    def test_without_any_what_reads_files_goes_on(self, sleeper):
        ran = collect(*as_nobody())
        assert ran.code == 0
        assert {name for name in NAMES if ran.reports[name].status == "running"} >= {"filesystem", "load", "process"}
        (line,) = ran.log
        unable = {name for name in NAMES if ran.reports[name].status == "unavailable"}
        assert unable <= {*re.findall(r"\w+", line)}
        event = next(event for event in ran.events if isinstance(event, Process) and event.pid == sleeper)
        assert (event.read_bytes, event.sockets) == (None, None)
        assert "sockets of other users' processes: not readable without" in ran.reports["process"].reason


class TestAsRoot:
    pytestmark = root

    def test_every_thread_keeps_what_is_needed_and_nothing_else(self):
        with collecting("filesystem", "syscall", "blocked_task", "load") as process:
            statuses = threads(process.pid)
        assert len(statuses) > 1
        for status in statuses:
            kept = sets(status)
            assert kept["CapEff"] == kept["CapPrm"] == kept["CapBnd"] == set(ALL)
            assert kept["CapInh"] == kept["CapAmb"] == set()
            assert "NoNewPrivs:\t1" in status

    def test_collectors_that_need_none_keep_none(self):
        with collecting("load", "memory") as process:
            assert {sets(status)["CapPrm"] for status in threads(process.pid)} == {frozenset()}

    def test_a_switch_that_was_turned_on_can_be_turned_back(self):
        with collecting("load", "-o", "enable_delayacct=true") as process:
            assert sets(threads(process.pid)[0])["CapEff"] == {Capability.CAP_SYS_ADMIN}

    def test_all_are_kept_when_asked_to(self):
        with collecting("load", "--keep-privileges") as process:
            assert sets(threads(process.pid)[0]) == sets(Path("/proc/self/status").read_text())

    def test_a_tracer_is_loaded_again_with_what_was_kept(self):
        program = (
            "from kernelsight.collectors.base import Host, open_best\n"
            "from kernelsight.collectors.privileges import BPF, keep_only\n"
            "keep_only(BPF)\n"
            "for name in ('syscalls', 'block_io', 'perf', 'process'):\n"
            "    entry, collector = open_best(name, Host())\n"
            "    print(name, entry.source)\n"
            "    collector.close()\n"
        )
        done = subprocess.run([*PYTHON, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        assert done.stdout.splitlines() == ["syscalls bpf", "block_io bpf", "perf perf", "process bpf"]

    def test_only_who_keeps_cap_sys_admin_can_turn_delay_accounting_back(self):
        switch = Path("/proc/sys/kernel/task_delayacct")
        if not switch.exists():
            pytest.skip("delay accounting has no switch in this kernel")
        program = (
            "import sys; from pathlib import Path\n"
            "from kernelsight.collectors.privileges import Capability, keep_only\n"
            "keep_only([Capability.CAP_SYS_ADMIN] if sys.argv[1:] else [])\n"
            "switch = Path('/proc/sys/kernel/task_delayacct')\n"
            "switch.write_text(switch.read_text())\n"
        )
        kept = subprocess.run([*PYTHON, "-c", program, "keep"], check=False, timeout=PATIENCE_S)
        lost = subprocess.run([*PYTHON, "-c", program], capture_output=True, check=False, timeout=PATIENCE_S)
        assert kept.returncode == 0
        assert b"PermissionError" in lost.stderr

    def test_what_an_administrator_may_do_anyway_is_not_missing(self):
        said = after("keep_only([Capability.CAP_SYS_ADMIN])", "missing([*BPF, Capability.CAP_NET_ADMIN])")
        assert said == "(<Capability.CAP_NET_ADMIN: 12>,)"


def after(given_up, asked):
    """What an expression is in a process that has given something up."""
    imports = "from kernelsight.collectors.privileges import BPF, Capability, effective, keep_only, missing"
    program = f"{imports}\n{given_up}\nprint({asked})"
    done = subprocess.run([*PYTHON, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return done.stdout.rstrip("\n")


def test_anybody_may_give_up_what_they_do_not_have():
    assert after("keep_only([]); keep_only(BPF)", "sorted(effective()), missing(BPF) == BPF") == "[] True"


def test_the_capabilities_are_those_that_the_kernel_shows():
    assert effective() == sets(Path("/proc/self/status").read_text())["CapEff"] & set(Capability)


def test_a_message_lists_them_as_one_would():
    assert listed(BPF) == "CAP_BPF and CAP_PERFMON"
    assert listed(ALL) == "CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
    assert listed([Capability.CAP_BPF]) == "CAP_BPF"
