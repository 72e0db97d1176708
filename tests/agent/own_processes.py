"""Processes and control groups of a test's own, and actors over a store of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from kernelsight.agent.acting.action import Request
from kernelsight.agent.acting.audit import Ledger
from kernelsight.agent.acting.executor import Executor
from kernelsight.agent.acting.policy_file import parse
from kernelsight.agent.acting.seal import Seal
from kernelsight.agent.acting.subject import controller_mount, look
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.model import Entity, Evidence, Finding, Proposal, Step

HOST = Host()
PATIENCE_S = 10
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

needs_v1 = pytest.mark.skipif(
    any((controller_mount(HOST, one) or (None, "", 2))[2] != 1 for one in ("cpu", "memory", "pids")),
    reason="needs control groups of version 1 with the controllers cpu, memory and pids",
)


@contextlib.contextmanager
def sleeper(*command):
    """A process that does nothing, or runs a Python program; it is gone afterwards."""
    process = subprocess.Popen(command or ("sleep", "300"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if os.geteuid() == 0:  # tests may run with less priority than is usual
        os.setpriority(os.PRIO_PROCESS, process.pid, 0)
    try:
        if not command:
            until(lambda: (look(HOST, process.pid).comm, state(process.pid)) == ("sleep", "S"), "it sleeps")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


def python(program):
    return (sys.executable, "-c", program)


@contextlib.contextmanager
def group(controller):
    """A control group of version 1, by its path and folder."""
    mount = controller_mount(HOST, controller)
    assert mount is not None
    path = f"/test-{os.getpid()}-{time.monotonic_ns()}"
    folder = mount.point / path[1:]
    folder.mkdir()
    try:
        yield path, folder
    finally:
        for word in (folder / "cgroup.procs").read_text().split():
            (mount.point / "cgroup.procs").write_text(word)
        folder.rmdir()


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


def state(pid):
    return look(HOST, pid).state


def executor(tmp_path, policy='mode = "auto"', clock=time.time_ns):
    return Executor(HOST, parse(policy), Ledger(str(tmp_path / "db"), clock, Seal(tmp_path / "state")), clock)


def asked(action, process, by="person", **parameters):
    """What somebody asks about a process or a group."""
    if isinstance(process, subprocess.Popen):
        target = Entity("process", str(process.pid), "sleep")
    elif process is None:
        target = Entity("machine", "machine", "machine")
    else:
        target = Entity("cgroup", process, process)
    return Request(action, target, by, parameters)


def finding(target, *actions, fault="cpu_saturation", confidence=0.95, value=5.0, seconds=9):
    """A finding that proposes something about somebody."""
    end = time.time_ns()
    start = end - seconds * 1_000_000_000
    evidence = Evidence("sched_process_stats", start, end, "runqueue_ms", "sum", value, (1, 2))
    victim = Entity("process", "999999", "victim")
    return Finding(
        fault=fault,
        culprit=target,
        victims=(victim,),
        onset_ns=start,
        confidence=confidence,
        path=(Step("victim waits", (evidence,)),),
        refuted_by="",
        actions=tuple(Proposal(one, target, f"do {one}") for one in actions),
    )


def stages(one):
    return [step.stage for step in one.ledger.steps()]
