"""Processes that somebody has stopped: while others wait for them, and while nobody does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.controls import FETCH
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.scenarios.locks import HOLD_FILE_LOCK
from benchmarks.faultbench.stage import PYTHON, Stage
from benchmarks.faultbench.truth import Truth

ANSWER = """import asyncio, sys
async def answer(reader, writer):
    while await reader.readline():
        writer.write(b"done\\n")
        await writer.drain()
async def serve():
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(serve())
"""
ASK = """import socket, sys, time
while True:
    try:
        connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    except OSError:
        time.sleep(0.1)
        continue
    while True:
        began = time.monotonic()
        connection.sendall(b"a question\\n")
        if not connection.recv(100):
            break
        measured(began)
        time.sleep(float(sys.argv[2]))
"""
FETCH_SLOWLY = """import sys, time, urllib.request
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/large") as answer:
    while answer.read(4096):
        time.sleep(0.001)
"""


@scenario("server_that_was_stopped", lasts_s=16)
def server_that_was_stopped(stage: Stage) -> Iterator[Truth]:
    """A web server that was stopped accepts no connection, and its visitors wait."""
    (stage.folder / "page").write_bytes(os.urandom(1 << 14))
    port = free_port()
    server = stage.start([PYTHON, "-m", "http.server", port, "--bind", "127.0.0.1"])
    stage.python(FETCH, port, stage.chance.randint(2, 6), stage.chance.uniform(0.01, 0.05))
    yield Truth()
    server.process.send_signal(signal.SIGSTOP)
    yield Truth("stopped_process", culprits=(server.culprit,))


@scenario("server_stopped_with_connections", lasts_s=22)
def server_stopped_with_connections(stage: Stage) -> Iterator[Truth]:
    """A server that was stopped leaves the questions of its clients unread."""
    port = free_port()
    server = stage.python(ANSWER, port)
    for _ in range(stage.chance.randint(2, 5)):
        stage.python(ASK, port, stage.chance.uniform(0.01, 0.05))
    yield Truth()
    server.process.send_signal(signal.SIGSTOP)
    yield Truth("stopped_process", culprits=(server.culprit,))


@scenario("stopped_with_a_file_lock", lasts_s=12)
def stopped_with_a_file_lock(stage: Stage) -> Iterator[Truth]:
    """A program was stopped while it had a file locked that others want."""
    path = stage.folder / "ledger"
    for _ in range(stage.chance.randint(2, 5)):
        stage.python(HOLD_FILE_LOCK, path, 0.005, stage.chance.uniform(0.02, 0.05))
    yield Truth()
    holder = stage.python(HOLD_FILE_LOCK, path, 60, 0)
    stage.run("sleep", 1)
    holder.process.send_signal(signal.SIGSTOP)
    yield Truth("stopped_process", culprits=(holder.culprit,))


@scenario("stopped_jobs_that_nobody_waits_for", lasts_s=22, tags=("control",))
def stopped_jobs_that_nobody_waits_for(stage: Stage) -> Iterator[Truth]:
    """A job, a download and a server without visitors were stopped, as in a shell or in a debugger."""
    (stage.folder / "large").write_bytes(bytes(64 << 20))
    port = free_port()
    stage.start([PYTHON, "-m", "http.server", port, "--bind", "127.0.0.1"])
    idle = stage.start([PYTHON, "-m", "http.server", free_port(), "--bind", "127.0.0.1"])
    job = stage.python("import time\nwhile True:\n    sum(range(10000))\n    time.sleep(0.01)\n")
    stage.run("sleep", 1)
    download = stage.python(FETCH_SLOWLY, port)
    yield Truth()
    for stopped in (idle, job, download):
        stopped.process.send_signal(signal.SIGSTOP)
    yield Truth()
