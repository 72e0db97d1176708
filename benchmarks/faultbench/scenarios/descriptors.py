"""Descriptors, connections, ports and accept queues that run out."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from benchmarks.faultbench.networks import OURS, inside, namespace, wire
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import PYTHON, Stage
from benchmarks.faultbench.truth import Truth

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
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.send(b"x")
    measured(began)
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
LOCAL_WORKER = """import os, socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(int(sys.argv[2]))
while True:
    connection, _ = listener.accept()
    time.sleep(float(sys.argv[3]) if os.path.exists(sys.argv[1] + ".slow") else 0)
    connection.send(b"x")
    connection.close()
"""
LOCAL_PROXY = """import os, socket, sys, threading, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
time.sleep(0.1)
def ask():
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(sys.argv[1])
            connection.recv(1)
        time.sleep(float(sys.argv[3]))
for _ in range(int(sys.argv[2])):
    threading.Thread(target=ask, daemon=True).start()
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


KEEP_WHAT_THE_SERVER_CLOSES = """use IO::Socket::INET; use Time::HiRes 'sleep';
my ($port, $pause) = @ARGV;
my @kept;
while (1) {
    my $to = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp');
    push @kept, $to if $to;
    sleep $pause;
}
"""
CLOSE_AT_ONCE = """import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
while True:
    listener.accept()[0].close()
"""
KEEP_CONNECTIONS = """use IO::Socket::INET; use Time::HiRes 'sleep';
my ($where, $port, $pause) = @ARGV;
my @kept;
while (1) {
    my $to = IO::Socket::INET->new(PeerAddr => $where, PeerPort => $port, Proto => 'tcp');
    push @kept, $to if $to;
    sleep $pause;
}
"""
KEEP_ALL = """import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
kept = []
while True:
    kept.append(listener.accept()[0])
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


@scenario("event_descriptors_leak", needs=("gcc",))
def event_descriptors_leak(stage: Stage) -> Iterator[Truth]:
    """A program in C loses an eventfd or both ends of a pipe in each round, within what its limit allows as yet."""
    yield Truth()
    leak = stage.c("leak_descriptors", stage.chance.randint(800, 3000), stage.chance.randint(5_000, 25_000))
    yield Truth("fd_leak", culprits=(leak.culprit,))


@scenario("pool_keeps_dead_connections", needs=("perl",))
def pool_keeps_dead_connections(stage: Stage) -> Iterator[Truth]:
    """A client keeps connections that the server has closed long ago."""
    port = free_port()
    stage.python(CLOSE_AT_ONCE, port)
    script = stage.folder / "pool.pl"
    script.write_text(KEEP_WHAT_THE_SERVER_CLOSES)
    yield Truth()
    client = stage.start(["perl", script, port, stage.chance.uniform(0.02, 0.06)])
    yield Truth("connection_leak", culprits=(client.culprit,))


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
    where = server.at(f"127.0.0.1:{port}")
    yield Truth("listen_overflow", culprits=(where,))


@scenario("stuck_server_asked_by_a_container", needs=("gcc", "ip", "nsenter"))
def stuck_server_asked_by_a_container(stage: Stage) -> Iterator[Truth]:
    """A server in C accepts hardly anything; its clients are in another network namespace."""
    here, there = wire(stage, OURS, namespace(stage))
    port = free_port()
    server = stage.c("accept_rarely", port, stage.chance.randint(2, 8), 400_000)
    yield Truth()
    stage.python(CROWD.replace("127.0.0.1", here.address), port, stage.chance.randint(30, 60), through=there.inside)
    where = server.at(f"0.0.0.0:{port}")
    yield Truth("listen_overflow", culprits=(where,))


@scenario("no_port_left", needs=("ip", "nsenter", "sysctl"))
def no_port_left(stage: Stage) -> Iterator[Truth]:
    """A client makes a connection for every question, until all its ports are in TIME_WAIT."""
    inner = few_ports(stage, stage.chance.randint(800, 2500))
    yield Truth()
    client = stage.python(EXHAUST, "127.0.0.1", 9, through=inside(inner))
    yield Truth("port_exhaustion", culprits=(client.culprit,))


@scenario("every_port_has_a_connection", needs=("ip", "nsenter", "sysctl", "perl"))
def every_port_has_a_connection(stage: Stage) -> Iterator[Truth]:
    """A client opens connections to one server and keeps them, until it has no port for another."""
    inner = few_ports(stage, stage.chance.randint(150, 700))
    stage.python(KEEP_ALL, "127.0.0.1", 99, through=inside(inner))
    script = stage.folder / "keep.pl"
    script.write_text(KEEP_CONNECTIONS)
    yield Truth()
    client = stage.start(["perl", script, "127.0.0.1", 99, 0.002], through=inside(inner))
    yield Truth("port_exhaustion", culprits=(client.culprit,))


def few_ports(stage: Stage, count: int) -> str:
    """A namespace in which there are few ports to connect from: they are gone within seconds."""
    name = namespace(stage)
    first = stage.chance.randint(20_000, 50_000)
    stage.run(*inside(name), "sysctl", "-w", f"net.ipv4.ip_local_port_range={first} {first + count}")
    return name


@scenario("local_socket_with_a_slow_worker")
def local_socket_with_a_slow_worker(stage: Stage) -> Iterator[Truth]:
    """A worker takes what comes over a local socket too slowly, and the threads of a proxy stand in line for it."""
    backlog = stage.chance.randint(1, 8)
    place = stage.folder / "worker.socket"
    worker = stage.python(LOCAL_WORKER, place, backlog, stage.chance.uniform(0.1, 0.4))
    stage.python(LOCAL_PROXY, place, 2 * backlog + stage.chance.randint(4, 12), stage.chance.uniform(0.02, 0.1))
    yield Truth()
    (stage.folder / "worker.socket.slow").touch()
    yield Truth("listen_overflow", culprits=(worker.culprit,))


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
