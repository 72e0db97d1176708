"""Servers that fail at each start and are started again, and what looks like it: restarts, questions, checks, jobs."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.stage import Actor, Stage
from benchmarks.faultbench.truth import Culprit, Truth

SUPERVISE = """import os, subprocess, sys, time
pause_s, command = float(sys.argv[1]), sys.argv[2:]
while True:
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(pause_s)
"""
ASK_ANEW = """import socket, sys, time
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1) as connection:
            connection.sendall(b"PING\\r\\n")
            connection.recv(64)
    except OSError:
        pass
    time.sleep(float(sys.argv[2]))
"""
SERVE_AND_FAULT = """import ctypes, os, socket, sys, threading, time
bad_from = os.path.exists(sys.argv[2])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
if bad_from:
    threading.Timer(float(sys.argv[3]), ctypes.string_at, (0,)).start()
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(64)
        if os.path.exists(sys.argv[2]):
            ctypes.string_at(0)
        connection.sendall(b"+PONG\\r\\n")
"""
ASK_UNTIL = "until {ask} {port}; do sleep {pause}; done"
ASK_ONCE = """import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1).close()
except OSError:
    sys.exit(1)
"""


def _supervised(stage: Stage, *command: object) -> tuple[Actor, Culprit]:
    """A program that is started again when it ends, under a name of its own; the supervisor, and who may be named."""
    name = stage.name()
    (stage.folder / name).symlink_to(stage.which(command[0]))
    pause_s = f"{stage.chance.uniform(0.2, 0.8):.2f}"
    supervisor = stage.python(SUPERVISE, pause_s, stage.folder / name, *command[1:])
    own = supervisor.culprit
    return supervisor, Culprit(own.ids, (*own.names, name))


def _clients(stage: Stage, port: int) -> None:
    for _ in range(stage.chance.randint(2, 4)):
        stage.python(ASK_ANEW, port, 0.05)


@scenario("server_without_a_valid_configuration", needs=("redis-server",), lasts_s=14)
def server_without_a_valid_configuration(stage: Stage) -> Iterator[Truth]:
    """Somebody changes the configuration of Redis to what it does not understand and restarts it; it never comes up."""
    port, settings = free_port(), stage.folder / "redis.conf"
    good = f'port {port}\nbind 127.0.0.1\nsave ""\n'
    settings.write_text(good)
    supervisor, culprit = _supervised(stage, "redis-server", settings)
    _clients(stage, port)
    yield Truth()
    settings.write_text(good + "maxmemory plenty\n")
    stage.end_children(supervisor)
    yield Truth("crash_loop", culprits=(culprit,))


@scenario("server_whose_port_is_taken", needs=("redis-server",), lasts_s=14)
def server_whose_port_is_taken(stage: Stage) -> Iterator[Truth]:
    """A server is started while another program has its port; it ends at once, and its supervisor tries again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield Truth()
        port = other.getsockname()[1]
        _, culprit = _supervised(stage, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "")
        yield Truth("crash_loop", culprits=(culprit,))


@scenario("server_that_faults", lasts_s=14)
def server_that_faults(stage: Stage) -> Iterator[Truth]:
    """A server faults at each start, since its data is what it does not expect; its clients are refused meanwhile."""
    port, bad = free_port(), stage.folder / "bad"
    script = stage.folder / "server.py"
    script.write_text(SERVE_AND_FAULT)
    _, culprit = _supervised(stage, "python3", script, port, bad, f"{stage.chance.uniform(0.1, 1):.2f}")
    _clients(stage, port)
    yield Truth()
    bad.touch()
    yield Truth("crash_loop", culprits=(culprit,))


@scenario("waits_until_a_server_answers", lasts_s=14, tags=("control",))
def waits_until_a_server_answers(stage: Stage) -> Iterator[Truth]:
    """A script asks once or twice a second whether a server is up yet, as they do at the start of a machine."""
    script = stage.folder / "ask.py"
    script.write_text(ASK_ONCE)
    yield Truth()
    ask, pause = f"{stage.which('python3')} {script}", f"{stage.chance.uniform(0.3, 1):.2f}"
    stage.start(["sh", "-c", ASK_UNTIL.format(ask=ask, port=free_port(), pause=pause)])
    yield Truth()


@scenario("restarted_by_intention", needs=("redis-server",), lasts_s=12, tags=("control",))
def restarted_by_intention(stage: Stage) -> Iterator[Truth]:
    """Somebody restarts a server twice, as after a change of its configuration."""
    port = free_port()
    supervisor, _ = _supervised(stage, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "")
    _clients(stage, port)
    yield Truth()
    for _ in range(2):
        stage.end_children(supervisor)
        stage.wait(1.5)
    yield Truth()


@scenario("searches_file_by_file", needs=("xargs", "grep"), lasts_s=12, tags=("control",))
def searches_file_by_file(stage: Stage) -> Iterator[Truth]:
    """A script looks for a word in one file after the other, and does not find it."""
    yield Truth()
    stage.start(["sh", "-c", "while :; do ls /usr/bin/* | xargs -n 50 grep -q kernelsightnever; sleep 0.5; done"])
    yield Truth()


@scenario("checks_that_fail", lasts_s=12, tags=("control",))
def checks_that_fail(stage: Stage) -> Iterator[Truth]:
    """A monitor runs a few checks every second, of which one has failed for a long time."""
    yield Truth()
    stage.start(["sh", "-c", "while :; do test -e /; /bin/ls /nowhere; /bin/date; /bin/uname; sleep 1; done"])
    yield Truth()
