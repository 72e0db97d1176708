"""Descriptors, connections, ports and accept queues that run out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from benchmarks.faultbench.scenario import Culprit, Truth, scenario
from benchmarks.faultbench.stage import PYTHON, Stage

OPEN = """import resource, sys, time
limit, pause = int(sys.argv[1]), float(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
kept = []
while True:
    try:
        kept.append(open("/dev/null"))
    except OSError:
        pass
    time.sleep(pause)
"""
SERVE_AND_FORGET = """import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
kept = []
while True:
    connection, _ = listener.accept()
    kept.append(connection)
    connection.recv(1)
"""
VISIT = """import socket, sys, time
while True:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.send(b"x")
    time.sleep(float(sys.argv[2]))
"""
ACCEPT_SLOWLY = """import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=int(sys.argv[2]))
while True:
    connection, _ = listener.accept()
    time.sleep(float(sys.argv[3]))
    connection.close()
"""
CROWD = """import socket, sys, threading, time
def visit():
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1).close()
        except OSError:
            time.sleep(0.01)
for _ in range(int(sys.argv[2])):
    threading.Thread(target=visit, daemon=True).start()
time.sleep(60)
"""
EXHAUST = """import socket, sys, time
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
while True:
    try:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    except OSError:
        time.sleep(0.05)
        continue
    peer, _ = listener.accept()
    connection.close()
    peer.close()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@scenario("files_left_open")
def files_left_open(stage: Stage) -> Iterator[Truth]:
    """A program opens files and closes none, far from its limit as yet."""
    yield Truth()
    leak = stage.python(OPEN, stage.chance.choice((1024, 2048)), stage.chance.uniform(0.01, 0.03))
    yield Truth("fd_leak", culprits=(leak.culprit,))


@scenario("no_descriptors_left")
def no_descriptors_left(stage: Stage) -> Iterator[Truth]:
    """A program has opened all files that it may, and goes on trying."""
    yield Truth()
    leak = stage.python(OPEN, stage.chance.randint(60, 200), 0.01)
    yield Truth("fd_leak", culprits=(leak.culprit,))


@scenario("connections_left_in_close_wait")
def connections_left_in_close_wait(stage: Stage) -> Iterator[Truth]:
    """A server does not close what its clients have closed."""
    port = free_port()
    server = stage.python(SERVE_AND_FORGET, port)
    yield Truth()
    stage.python(VISIT, port, stage.chance.uniform(0.01, 0.04))
    yield Truth("connection_leak", culprits=(server.culprit,))


@scenario("accepts_too_slowly")
def accepts_too_slowly(stage: Stage) -> Iterator[Truth]:
    """A server accepts fewer connections than come, until its queue is full."""
    port = free_port()
    server = stage.python(ACCEPT_SLOWLY, port, stage.chance.randint(4, 16), stage.chance.uniform(0.1, 0.3))
    yield Truth()
    stage.python(CROWD, port, stage.chance.randint(40, 60))
    where = Culprit((str(server.pid), f"127.0.0.1:{port}"), (server.name, f"127.0.0.1:{port}"))
    yield Truth("listen_overflow", culprits=(where,))


@scenario("no_port_left", lasts_s=25)
def no_port_left(stage: Stage) -> Iterator[Truth]:
    """A client makes a connection for every question, until all its ports are in TIME_WAIT."""
    yield Truth()
    client = stage.python(EXHAUST, f"127.0.{stage.chance.randint(1, 200)}.{stage.chance.randint(2, 200)}", free_port())
    yield Truth("port_exhaustion", culprits=(client.culprit,))


@scenario("many_files_but_enough", tags=("control",))
def many_files_but_enough(stage: Stage) -> Iterator[Truth]:
    """A program opens some hundred files at its start and keeps them."""
    yield Truth()
    stage.python(
        "import sys, time\nkept = []\nfor i in range(int(sys.argv[1])):\n    kept.append(open('/dev/null'))\n"
        "    time.sleep(0.002)\ntime.sleep(60)\n",
        stage.chance.randint(200, 500),
    )
    yield Truth()


@scenario("busy_web_server", tags=("control",))
def busy_web_server(stage: Stage) -> Iterator[Truth]:
    """Clients ask a server as fast as it answers; every connection is closed by both."""
    port = free_port()
    stage.start([PYTHON, "-m", "http.server", port, "--bind", "127.0.0.1"])
    yield Truth()
    stage.python(
        "import sys, time, urllib.request\nwhile True:\n    try:\n"
        "        urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/').read()\n"
        "    except OSError:\n        time.sleep(0.1)\n    time.sleep(0.002)\n",
        port,
    )
    yield Truth()
