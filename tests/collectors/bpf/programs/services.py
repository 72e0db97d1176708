"""A server and its client, in two processes, that do what the tests know of.

    python services.py SCENE

prints `{"what": "scene", "server": PID, "client": PID, ...}` and, for what was asked and answered, the client's own
measure of it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REQUESTS = 150
DELAY_S = 0.005
STUCK_S = 3.4  # three looks of the collector

Handler = Callable[[socket.socket], None]


def say(what: str, **facts: object) -> None:
    print(json.dumps({"what": what, **facts}), flush=True)


def receive(connection: socket.socket, size: int = 10) -> bytes:
    got = b""
    while len(got) < size and (more := connection.recv(size - len(got))):
        got += more
    return got


def serve(listener: socket.socket, handle: Handler) -> int:
    """Fork a process that handles one connection after the other."""
    pid = os.fork()
    if pid:
        return pid
    try:
        while True:
            with listener.accept()[0] as connection:
                handle(connection)
    except OSError as error:
        print(error, file=sys.stderr)
    finally:
        os._exit(0)


def echo(before_s: float = 0.0, after_s: float = 0.0) -> Handler:
    """Waits before it reads, and between reading and the answer."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
        ) if connection.family != socket.AF_UNIX else None
        while True:
            if before_s:
                connection.recv(1, socket.MSG_PEEK)
                time.sleep(before_s)
            if not (request := receive(connection)):
                return
            time.sleep(after_s)
            connection.sendall(request)

    return handle


def never(connection: socket.socket) -> None:
    """Reads, and does not answer."""
    while receive(connection):
        pass


def slow_reader(connection: socket.socket) -> None:
    """Answers what it has read by then; may be several requests at once."""
    while request := connection.recv(4096):
        time.sleep(0.002)
        connection.sendall(request)


def ask(connection: socket.socket, requests: int = REQUESTS) -> list[float]:
    """Ask one after the other; the latency of each in ms."""
    took = []
    for _ in range(requests):
        began = time.monotonic()
        connection.sendall(b"0123456789")
        assert receive(connection) == b"0123456789"
        took.append(1e3 * (time.monotonic() - began))
    return took


def listen(family: int = socket.AF_INET, address: object = ("127.0.0.1", 0), backlog: int = 16) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(backlog)
    return listener


def port_of(listener: socket.socket) -> int | None:
    return None if listener.family == socket.AF_UNIX else listener.getsockname()[1]


def connect(listener: socket.socket) -> socket.socket:
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    return client


def conversation(listener: socket.socket, handle: Handler, name: str | None = None) -> None:
    server = serve(listener, handle)
    try:
        with connect(listener) as client:
            took = ask(client)
        say("scene", server=server, client=os.getpid(), port=port_of(listener), name=name, requests=len(took),
            mean_ms=statistics.mean(took), median_ms=statistics.median(took),
            netns=Path("/proc/self/ns/net").stat().st_ino)  # fmt: skip
        time.sleep(1.2)
    finally:
        end(server)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def stuck(handle: Handler, *, stop: bool = False, family: int = socket.AF_INET) -> None:
    """The client asks once, is answered, asks again, and waits."""
    listener = listen(family, ("127.0.0.1", 0) if family == socket.AF_INET else f"\0stuck-{os.getpid()}")
    calls = 0

    def once(connection: socket.socket) -> None:
        nonlocal calls
        connection.sendall(receive(connection))
        handle(connection)

    server = serve(listener, once)
    try:
        with connect(listener) as client:
            ask(client, 1)
            if stop:
                os.kill(server, signal.SIGSTOP)
                os.waitpid(server, os.WUNTRACED)  # until it has stopped: it may be reading
            client.sendall(b"0123456789")
            time.sleep(STUCK_S)
            say("scene", server=server, client=os.getpid(), port=port_of(listener))
    finally:
        end(server)


def one_way() -> None:
    """A client that reports, as to a log server, and expects no answer."""
    listener = listen()
    server = serve(listener, never)
    try:
        with connect(listener) as client:
            for _ in range(40):
                client.sendall(b"0123456789")
                time.sleep(0.01)
            time.sleep(STUCK_S)
            say("scene", server=server, client=os.getpid(), port=port_of(listener))
    finally:
        end(server)


def pushed() -> None:
    """A server that sends by itself, while its client only listens and acknowledges now and then."""

    def push(connection: socket.socket) -> None:
        for number in range(30):
            time.sleep(0.1)
            connection.sendall(b"0123456789" * 50)
            if number % 7 == 6:
                receive(connection)

    listener = listen()
    server = serve(listener, push)
    try:
        with connect(listener) as client:
            for number in range(30):
                receive(client, 500)
                if number % 7 == 6:
                    client.sendall(b"0123456789")
            say("scene", server=server, client=os.getpid(), port=port_of(listener))
    finally:
        end(server)


def pipelined() -> None:
    """Requests that are sent before the answers of those before them have come."""
    listener = listen()
    server = serve(listener, slow_reader)
    try:
        with connect(listener) as client:
            for _ in range(300):
                client.sendall(b"0123456789")
                time.sleep(0.001)
            receive(client, 3000)
            say("scene", server=server, client=os.getpid(), port=port_of(listener), bytes=3000)
            time.sleep(1.2)
    finally:
        end(server)


def elsewhere() -> None:
    """Clients whose side is not seen, as of another machine: their sockets are of MPTCP; a connection a request."""
    listener = listen()
    server = serve(listener, echo())
    for _ in range(20):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as client:
            client.connect(listener.getsockname())
            ask(client, 1)
    time.sleep(1.2)
    say("scene", server=server, client=os.getpid(), port=port_of(listener))
    end(server)


def spliced() -> None:
    """A server that reads into a pipe (splice(2)), which the hooks do not see; the last request is not answered."""
    listener = listen()
    into, out_of = os.pipe()[::-1]
    with connect(listener) as client, listener.accept()[0] as served:
        for number in range(20):
            client.sendall(b"0123456789")
            left = 10
            while left:
                left -= os.splice(served.fileno(), into, left)
            os.read(out_of, 10)
            if number < 19:
                served.sendall(b"0123456789")
                receive(client)
        time.sleep(STUCK_S)
        say("scene", server=os.getpid(), client=os.getpid(), port=port_of(listener))


def datagrams(*, answers: bool) -> None:
    """A UDP server that answers, or takes requests and does not."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        pid = os.fork()
        if not pid:
            while True:
                request, peer = server.recvfrom(100)
                if answers:
                    time.sleep(0.002)
                    server.sendto(request, peer)
        try:
            client.connect(server.getsockname())
            took = []
            for _ in range(REQUESTS if answers else 1):
                began = time.monotonic()
                client.send(b"0123456789")
                if answers:
                    client.recv(100)
                took.append(1e3 * (time.monotonic() - began))
            time.sleep(1.2 if answers else STUCK_S)
            say("scene", server=pid, client=os.getpid(), port=port_of(server), median_ms=statistics.median(took),
                requests=len(took))  # fmt: skip
        finally:
            end(pid)


def refused() -> None:
    """Connections to a port where nobody listens, resets, and a queue that nobody accepts from."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for _ in range(5):
            with socket.socket() as client:
                assert client.connect_ex(unused.getsockname()) != 0
        nobody = unused.getsockname()[1]
    listener = listen()
    server = serve(listener, never)
    for _ in range(4):
        client = connect(listener)
        client.sendall(b"0123456789")
        time.sleep(0.02)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    full = listen(backlog=1)
    waiting = [socket.socket() for _ in range(4)]
    for client in waiting:
        client.setblocking(False)
        client.connect_ex(full.getsockname())
    time.sleep(STUCK_S)
    say("scene", server=server, client=os.getpid(), port=port_of(listener), nobody=nobody, full=port_of(full))
    end(server)


def late() -> None:
    """A conversation that began before anybody looked: the collector runs in a process that is started meanwhile."""
    listener = listen()
    server = serve(listener, echo())
    try:
        with connect(listener) as client:
            ask(client, 10)
            said = subprocess.Popen([sys.executable, sys.argv[2], str(port_of(listener))], stdout=subprocess.PIPE)
            assert said.stdout is not None
            assert said.stdout.readline() == b"ready\n"
            ask(client, 50)
            events = json.loads(said.communicate()[0])
            say("scene", server=server, client=os.getpid(), port=port_of(listener), events=events)
    finally:
        end(server)


def unix(name: object) -> None:
    conversation(listen(socket.AF_UNIX, name), echo(after_s=DELAY_S), repr(name))


def on_path() -> None:
    with tempfile.TemporaryDirectory() as folder:
        unix(str(Path(folder) / "a\nb\x1b[31m"))


SCENES: dict[str, Callable[[], None]] = {
    "service": lambda: conversation(listen(), echo(after_s=DELAY_S)),
    "service6": lambda: conversation(listen(socket.AF_INET6, ("::1", 0)), echo(after_s=DELAY_S)),
    "queue": lambda: conversation(listen(), echo(before_s=DELAY_S)),
    "fast": lambda: conversation(listen(), echo()),
    "path": on_path,
    "abstract": lambda: unix(f"\0kernelsight-{os.getpid()}"),
    "stopped": lambda: stuck(echo(), stop=True),
    "silent": lambda: stuck(never),
    "unix-silent": lambda: stuck(never, family=socket.AF_UNIX),
    "one-way": one_way,
    "pushed": pushed,
    "pipelined": pipelined,
    "elsewhere": elsewhere,
    "spliced": spliced,
    "datagrams": lambda: datagrams(answers=True),
    "silent-datagrams": lambda: datagrams(answers=False),
    "refused": refused,
    "late": late,
}


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2] == "own-network":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    SCENES[sys.argv[1]]()
