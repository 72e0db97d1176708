"""Storms of context switches and of new processes, and busy programs that only look like one."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.stage import Actor, Stage
from benchmarks.faultbench.truth import Culprit, Truth

CPUS = os.cpu_count() or 1
ANSWER = """import os, socket
one, other = socket.socketpair()
mine, first = (one, True) if os.fork() else (other, False)
if first:
    mine.send(b"x")
while True:
    mine.send(mine.recv(1))
"""
SERVE_SHORTLY = """import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    while data := connection.recv(64):
        connection.sendall(data)
"""
ASK_SHORTLY = """import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        connection.sendall(b"question")
        connection.recv(64)
"""
RESTART = """import subprocess, sys
while True:
    subprocess.run([sys.executable, "-S", "-E", "-c", "raise SystemExit(1)"])
"""
FORK_ON = """import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
first = True
while True:
    try:
        first = os.fork() != 0 and first
    except OSError:
        if not first:
            os._exit(0)
    time.sleep(float(sys.argv[1]))
"""
FORK_AND_FORGET = """$SIG{CHLD} = 'IGNORE';
while (1) { my $child = fork(); if (defined $child && !$child) { exit 0 } waitpid($child, 0) if $child; }
"""
SERVE_WITH_SCRIPTS = """import subprocess, time, sys
while True:
    subprocess.run(["sh", "-c", "date; uname -a | tr a-z A-Z"], stdout=subprocess.DEVNULL)
    time.sleep(float(sys.argv[1]))
"""
WORK = """import time
while True:
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass
    time.sleep(0.01)
"""


def stressed(stage: Stage, *options: object) -> tuple[Actor, Culprit]:
    """stress-ng with options, and the names that its workers may have."""
    actor = stage.start(["stress-ng", *options, "--timeout", 30])
    name = f"stress-ng-{str(options[0]).removeprefix('--')}"
    return actor, Culprit((str(actor.pid),), (actor.name, name[:15], "stress-ng"))


@scenario("pipe_ping_pong", lasts_s=10, needs=("gcc",))
def pipe_ping_pong(stage: Stage) -> Iterator[Truth]:
    """Processes hand a byte to and fro, and do nothing else."""
    yield Truth()
    program = stage.c("pingpong", stage.chance.randint(1, 3))
    yield Truth("context_switch_storm", culprits=(program.culprit,))


@scenario("socket_ping_pong", lasts_s=10)
def socket_ping_pong(stage: Stage) -> Iterator[Truth]:
    """Two Python processes answer each other's byte."""
    yield Truth()
    program = stage.python(ANSWER)
    yield Truth("context_switch_storm", culprits=(program.culprit,))


@scenario("stress_switches", lasts_s=10, needs=("stress-ng",))
def stress_switches(stage: Stage) -> Iterator[Truth]:
    """stress-ng's pairs that wake each other."""
    yield Truth()
    method = stage.chance.choice(("pipe", "sem-sysv"))
    _, culprit = stressed(stage, "--switch", stage.chance.randint(1, CPUS), "--switch-method", method)
    yield Truth("context_switch_storm", culprits=(culprit,))


@scenario("stress_yields", lasts_s=10, needs=("stress-ng",))
def stress_yields(stage: Stage) -> Iterator[Truth]:
    """stress-ng's workers that give their CPU away at once."""
    yield Truth()
    _, culprit = stressed(stage, "--yield", stage.chance.randint(1, 2))
    yield Truth("context_switch_storm", culprits=(culprit,))


@scenario("shell_loop", lasts_s=10, needs=("sh", "true"))
def shell_loop(stage: Stage) -> Iterator[Truth]:
    """A shell script starts one small program after the other."""
    stage.python(WORK)
    yield Truth()
    loop = stage.start(["sh", "-c", "while :; do /bin/true; /bin/echo >/dev/null; done"])
    yield Truth("fork_storm", culprits=(loop.culprit,))


@scenario("restarts_at_once", lasts_s=10)
def restarts_at_once(stage: Stage) -> Iterator[Truth]:
    """A supervisor starts a program that fails, again and again without a pause."""
    stage.python(WORK)
    yield Truth()
    supervisor = stage.python(RESTART)
    yield Truth("fork_storm", culprits=(supervisor.culprit,))


@scenario("fork_and_forget", lasts_s=10, needs=("perl",))
def fork_and_forget(stage: Stage) -> Iterator[Truth]:
    """A Perl program makes children that end at once."""
    yield Truth()
    program = stage.start(["perl", "-e", FORK_AND_FORGET])
    yield Truth("fork_storm", culprits=(program.culprit,))


@scenario("threads_that_end_at_once", lasts_s=10, needs=("gcc",))
def threads_that_end_at_once(stage: Stage) -> Iterator[Truth]:
    """A program starts threads which do nothing, and waits for them."""
    yield Truth()
    program = stage.c("threads", stage.chance.randint(1, 16))
    yield Truth("fork_storm", culprits=(program.culprit,))


@scenario("children_fork_children", lasts_s=10)
def children_fork_children(stage: Stage) -> Iterator[Truth]:
    """Children have children, as many as their control group allows."""
    group = stage.cgroup("pids", {"pids.max": str(stage.chance.randint(60, 200))})
    yield Truth()
    bomb = stage.python(FORK_ON, stage.chance.uniform(0.005, 0.02), groups=[group])
    where = bomb.at(f"/{group.name}")
    yield Truth("fork_storm", culprits=(where,))


@scenario("stress_forks", lasts_s=10, needs=("stress-ng",))
def stress_forks(stage: Stage) -> Iterator[Truth]:
    """stress-ng's workers that make children which end at once."""
    yield Truth()
    how = stage.chance.choice(("--fork", "--vfork"))
    _, culprit = stressed(stage, how, stage.chance.randint(1, CPUS))
    yield Truth("fork_storm", culprits=(culprit,))


@scenario("service_with_scripts", lasts_s=10, needs=("sh",), tags=("control",))
def service_with_scripts(stage: Stage) -> Iterator[Truth]:
    """A service starts a small script some times a second, as monitoring does."""
    yield Truth()
    stage.python(SERVE_WITH_SCRIPTS, stage.chance.uniform(0.1, 0.3))
    yield Truth()


@scenario("asks_now_and_then", lasts_s=10, tags=("control",))
def asks_now_and_then(stage: Stage) -> Iterator[Truth]:
    """A client asks a server some hundred times a second."""
    port = free_port()
    stage.python(SERVE_SHORTLY, port)
    yield Truth()
    pause = stage.chance.uniform(0.001, 0.005)
    stage.python(ASK_SHORTLY.replace("recv(64)", f"recv(64)\n        __import__('time').sleep({pause})"), port)
    yield Truth()
