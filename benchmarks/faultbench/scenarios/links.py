"""Links that go while programs talk, and links that go with their container."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.networks import OURS, namespace, wire
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

ECHO = """import socket, sys, threading
def answer(connection):
    while data := connection.recv(4096):
        connection.sendall(data)
listener = socket.create_server((sys.argv[1], 7077))
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""
TALK = """import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], 7077), timeout=30) as connection:
            while True:
                connection.sendall(b"hello")
                connection.recv(4096)
                time.sleep(float(sys.argv[2]))
    except OSError:
        time.sleep(0.1)
"""


@scenario("wire_pulled_out", needs=("ip", "nsenter"), lasts_s=14)
def wire_pulled_out(stage: Stage) -> Iterator[Truth]:
    """The other end of a wire goes down while clients here talk to a server there."""
    there = namespace(stage)
    near, far = wire(stage, OURS, there)
    stage.python(ECHO, far.address, through=far.inside)
    for _ in range(stage.chance.randint(1, 3)):
        stage.python(TALK, far.address, f"{stage.chance.uniform(0.01, 0.05):.3f}")
    yield Truth()
    stage.run(*far.inside, "ip", "link", "set", far.interface, "down")
    yield Truth("packet_loss", culprits=(Culprit((near.interface,), (near.interface,)),))


@scenario("container_that_ends", needs=("ip", "nsenter"), lasts_s=12, tags=("control",))
def container_that_ends(stage: Stage) -> Iterator[Truth]:
    """A container ends, and its interface with it; nobody talks to it any more."""
    there = namespace(stage)
    _, far = wire(stage, OURS, there)
    server = stage.python(ECHO, far.address, through=far.inside)
    client = stage.python(TALK, far.address, "0.05")
    yield Truth()
    client.end()
    server.end()
    stage.run(*far.inside, "ip", "link", "del", far.interface)
    yield Truth()
