"""Connections that do not get on: nobody answers, a queue is far too deep, the other end does not read; look-alikes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.networks import OURS, End, drop_some, namespace, shape, wire
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.scenarios.network import SINK, STREAM
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

ANSWER = """import socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=100)
def answer(connection):
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""
CONNECT_AGAIN = """import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as connection:
            connection.sendall(b"question")
            connection.recv(64)
    except OSError:
        pass
    time.sleep(0.05)
"""
ASK_AGAIN = """import socket, sys, time
time.sleep(0.5)
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    while True:
        began = time.monotonic()
        connection.sendall(b"question")
        connection.recv(64)
        measured(began)
        time.sleep(0.05)
"""
READ_SLOWLY = """import os, socket, sys, threading, time
began, later = time.monotonic(), float(sys.argv[4])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(20)
def swallow(connection):
    while connection.recv(8192):
        if time.monotonic() - began > later:
            time.sleep(float(sys.argv[3]))
while True:
    threading.Thread(target=swallow, args=(listener.accept()[0],), daemon=True).start()
"""
SEVERAL_STREAMS = """import socket, sys, threading
def send():
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        while True:
            connection.sendall(bytes(65536))
for _ in range(int(sys.argv[3])):
    threading.Thread(target=send).start()
"""
DOWNLOAD_SLOWLY = """import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(b"go")
    while connection.recv(8192):
        time.sleep(float(sys.argv[3]))
"""
SERVE_A_FILE = """import socket, sys, threading
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=100)
def send(connection):
    with connection:
        connection.recv(4096)
        while True:
            connection.sendall(bytes(65536))
while True:
    threading.Thread(target=send, args=(listener.accept()[0],), daemon=True).start()
"""


@scenario("requests_for_connections_vanish", needs=("nft", "ip", "nsenter"), lasts_s=12)
def requests_for_connections_vanish(stage: Stage) -> Iterator[Truth]:
    """A firewall of a neighbour begins to drop what asks for connections to a port; open connections go on."""
    _, there = wire(stage, OURS, namespace(stage))
    ports = free_port(), free_port()
    for port in ports:
        stage.python(ANSWER, there.address, port, through=there.inside)
    stage.python(ASK_AGAIN, there.address, ports[1])
    stage.python(CONNECT_AGAIN, there.address, ports[0], stage.chance.choice((2, 4, 20)))
    yield Truth()
    drop_some(stage, there.namespace, "input", f"tcp dport {ports[0]}", 1000)
    place = f"{there.address}:{ports[0]}"
    yield Truth("slow_dependency", culprits=(Culprit((place,), (place,)),))


@scenario("queue_far_too_deep", needs=("tc", "ip", "nsenter"), lasts_s=16)
def queue_far_too_deep(stage: Stage) -> Iterator[Truth]:
    """A bulk transfer fills the deep queue in front of a narrow wire, and every question waits behind it."""
    here, there = wire(stage, OURS, namespace(stage))
    yield from _fill_a_deep_queue(stage, here, there)


@scenario("queue_far_too_deep_in_a_container", needs=("tc", "ip", "nsenter"), lasts_s=16)
def queue_far_too_deep_in_a_container(stage: Stage) -> Iterator[Truth]:
    """The same between two network namespaces, neither of them ours, so that nobody counts what waits in the queue."""
    left, right = wire(stage, namespace(stage), namespace(stage))
    yield from _fill_a_deep_queue(stage, left, right)


def _fill_a_deep_queue(stage: Stage, here: End, there: End) -> Iterator[Truth]:
    ports = free_port(), free_port()
    stage.python(SINK, there.address, ports[0], through=there.inside)
    stage.python(ANSWER, there.address, ports[1], through=there.inside)
    rate = stage.chance.randint(4, 20)
    deep = int(rate * 125_000 * stage.chance.uniform(0.5, 1.5))
    shape(stage, here, "tbf", "rate", f"{rate}mbit", "burst", "32k", "limit", deep)
    stage.python(ASK_AGAIN, there.address, ports[1], through=here.inside)
    yield Truth()
    bulk = stage.python(SEVERAL_STREAMS, there.address, ports[0], stage.chance.randint(4, 8), through=here.inside)
    yield Truth("bandwidth_saturation", culprits=(bulk.at(here.interface),))


@scenario("server_reads_too_slowly", lasts_s=14)
def server_reads_too_slowly(stage: Stage) -> Iterator[Truth]:
    """A server begins to read what its clients send at a fraction of the pace at which they have something to say."""
    port = free_port()
    reader = stage.python(READ_SLOWLY, "127.0.0.1", port, stage.chance.uniform(0.03, 0.3), 11)
    for _ in range(stage.chance.randint(1, 3)):
        stage.python(STREAM, "127.0.0.1", port, 16_384, 0.02)
    yield Truth()
    yield Truth("slow_dependency", culprits=(reader.at(f"127.0.0.1:{port}"),))


@scenario("download_at_its_own_pace", lasts_s=14, tags=("control",))
def download_at_its_own_pace(stage: Stage) -> Iterator[Truth]:
    """Clients download no faster than they want to (as with curl --limit-rate, or in a pager)."""
    port = free_port()
    stage.python(SERVE_A_FILE, "127.0.0.1", port)
    yield Truth()
    for _ in range(stage.chance.randint(1, 3)):
        stage.python(DOWNLOAD_SLOWLY, "127.0.0.1", port, stage.chance.uniform(0.01, 0.5))
    yield Truth()


@scenario("copy_at_the_full_rate_of_a_wire", needs=("tc", "ip", "nsenter"), lasts_s=14, tags=("control",))
def copy_at_the_full_rate_of_a_wire(stage: Stage) -> Iterator[Truth]:
    """A copy is alone on a wire and paced to just less than it carries."""
    here, there = wire(stage, OURS, namespace(stage))
    ports = free_port(), free_port()
    stage.python(SINK, there.address, ports[0], through=there.inside)
    stage.python(ANSWER, there.address, ports[1], through=there.inside)
    rate = stage.chance.randint(10, 40)
    shape(stage, here, "tbf", "rate", f"{rate}mbit", "burst", "64k", "limit", rate * 12_500)
    stage.python(ASK_AGAIN, there.address, ports[1])
    yield Truth()
    stage.python(STREAM, there.address, ports[0], 16_000, 16_000 * 8 / (rate * 1e6) / 0.85)
    yield Truth()
