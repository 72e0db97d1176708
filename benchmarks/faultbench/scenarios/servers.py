"""Servers of one thread that compute while their clients wait, and servers that are as busy and answer in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.stage import Actor, Stage
from benchmarks.faultbench.truth import Truth

ASK = """import socket, sys, time
command, pause_s = sys.argv[2].encode(), float(sys.argv[3])
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    while True:
        began = time.monotonic()
        connection.sendall(command + b"\\r\\n")
        if not connection.recv(1 << 20):
            break
        measured(began)
        time.sleep(pause_s)
"""
COMPUTE_FOR_EACH = """import asyncio, sys, time
async def answer(reader, writer):
    while line := await reader.readline():
        end = time.process_time() + float(line)
        while time.process_time() < end:
            pass
        writer.write(b"done\\n")
async def main():
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""
SERVE_WITH_NODE = """
const net = require("net");
net.createServer((socket) => socket.on("data", (line) => {
  const end = process.cpuUsage().user + 1e6 * parseFloat(line);
  while (process.cpuUsage().user < end);
  socket.write("done\\n");
})).listen(parseInt(process.argv[2]), "127.0.0.1");
"""
ASK_MORE = """import socket, sys, time
began = time.monotonic()
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    while True:
        more = time.monotonic() > began + float(sys.argv[2])
        connection.sendall(f"{sys.argv[3] if more else 0.0005}\\n".encode())
        connection.recv(64)
        time.sleep(0.005)
"""
COMPUTE_AND_TELL = """import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listener.setblocking(False)
readers = []
while True:
    try:
        readers.append(listener.accept()[0])
    except BlockingIOError:
        pass
    end = time.process_time() + float(sys.argv[2])
    while time.process_time() < end:
        pass
    for reader in [*readers]:
        try:
            reader.sendall(b"found")
        except OSError:
            readers.remove(reader)
"""
LISTEN = """import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    while connection.recv(64):
        pass
"""
LONG_SCRIPT = 'EVAL "local s=0 for i=1,{rounds} do s=s+i%7 end return s" 0'


def _listens(port: int) -> None:
    """Wait until a server accepts connections.

    Raises:
        ConnectionRefusedError: it does not within ten seconds.
    """
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _redis(stage: Stage) -> tuple[Actor, int]:
    port = free_port()
    server = stage.start(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
    _listens(port)
    return server, port


@scenario("slow_command_in_a_key_value_store", needs=("redis-server",), lasts_s=12)
def slow_command_in_a_key_value_store(stage: Stage) -> Iterator[Truth]:
    """One client of Redis has it compute again and again, and the others wait for answers that took no time before."""
    server, port = _redis(stage)
    for _ in range(stage.chance.randint(3, 6)):
        stage.python(ASK, port, "GET key", 0.01)
    yield Truth()
    script = LONG_SCRIPT.format(rounds=stage.chance.randint(10, 60) * 1_000_000)
    slow = stage.python(ASK, port, script, 0.002)
    yield Truth("thread_saturation", culprits=(server.culprit, slow.culprit))


@scenario("event_loop_that_computes", lasts_s=12)
def event_loop_that_computes(stage: Stage) -> Iterator[Truth]:
    """A handler computes in an event loop (asyncio), and all other clients of the loop wait meanwhile."""
    port = free_port()
    server = stage.python(COMPUTE_FOR_EACH, port)
    yield from _kept_waiting(stage, server, port)


@scenario("javascript_that_computes", needs=("nodejs",), lasts_s=12)
def javascript_that_computes(stage: Stage) -> Iterator[Truth]:
    """A callback of Node computes, and all other clients wait for the event loop meanwhile."""
    port = free_port()
    script = stage.folder / "server.js"
    script.write_text(SERVE_WITH_NODE)
    server = stage.start(["nodejs", script, port])
    yield from _kept_waiting(stage, server, port)


def _kept_waiting(stage: Stage, server: Actor, port: int) -> Iterator[Truth]:
    _listens(port)
    for _ in range(stage.chance.randint(3, 6)):
        stage.python(ASK, port, "0.0005", 0.02)
    yield Truth()
    stage.python(ASK, port, f"{stage.chance.uniform(0.15, 0.8):.3f}", 0.002)
    yield Truth("thread_saturation", culprits=(server.culprit,))


@scenario("key_value_store_at_full_speed", needs=("redis-server", "redis-benchmark"), lasts_s=10, tags=("control",))
def key_value_store_at_full_speed(stage: Stage) -> Iterator[Truth]:
    """A benchmark is as fast as the one thread of the server, and each answer takes a moment only."""
    _, port = _redis(stage)
    for _ in range(stage.chance.randint(2, 4)):
        stage.python(ASK, port, "GET key", 0.01)
    yield Truth()
    stage.start(["redis-benchmark", "-p", port, "-c", stage.chance.randint(20, 60), "-n", 100_000_000, "-q"])
    yield Truth()


@scenario("long_answers_to_one_client", lasts_s=12, tags=("control",))
def long_answers_to_one_client(stage: Stage) -> Iterator[Truth]:
    """The only client of a server asks for more than before, and waits for what it has asked for."""
    port = free_port()
    stage.python(COMPUTE_FOR_EACH, port)
    _listens(port)
    seconds = f"{stage.chance.uniform(0.15, 0.8):.3f}"
    stage.python(ASK_MORE, port, 8, seconds)
    yield Truth()
    yield Truth()


@scenario("results_for_several_readers", lasts_s=12, tags=("control",))
def results_for_several_readers(stage: Stage) -> Iterator[Truth]:
    """A program computes all the time and sends what it has found to all who read it, as it always did."""
    port = free_port()
    stage.python(COMPUTE_AND_TELL, port, f"{stage.chance.uniform(0.2, 0.9):.3f}")
    _listens(port)
    for _ in range(stage.chance.randint(2, 5)):
        stage.python(LISTEN, port)
    yield Truth()
    yield Truth()


@scenario("compressed_as_it_is_read", lasts_s=10, tags=("control",))
def compressed_as_it_is_read(stage: Stage) -> Iterator[Truth]:
    """The one thread of a compressor is slower than what it compresses is read, and than its result is written."""
    yield Truth()
    stage.start(["sh", "-c", "cat /dev/urandom | gzip -9 | cat > /dev/null"])
    yield Truth()
