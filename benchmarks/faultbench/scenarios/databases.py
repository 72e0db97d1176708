"""Databases whose clients want the same row or file, and one whose clients seldom do."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.descriptors import free_port
from benchmarks.faultbench.scenarios.switches import ASK_SHORTLY
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Truth

SERVE_ONE_ROW = """import os, select, socket, sys, time
row, free = os.pipe()
os.set_blocking(row, False)
os.write(free, b"x")
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
def lock():
    while True:
        select.select([row], [], [])
        try:
            return os.read(row, 1)
        except BlockingIOError:
            pass
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        break
while select.select([connection], [], []) and connection.recv(64):
    lock()
    time.sleep(float(sys.argv[2]))
    os.write(free, b"x")
    connection.sendall(b"done")
"""
WRITE_ROWS = """import os, sqlite3, sys, time
for _ in range(int(sys.argv[2]) - 1):
    if os.fork() == 0:
        break
base = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
while True:
    began = time.monotonic()
    base.execute("BEGIN IMMEDIATE")
    base.execute("INSERT INTO rows VALUES (1)")
    measured(began)
    time.sleep(float(sys.argv[3]))
    base.execute("COMMIT")
    time.sleep(float(sys.argv[4]))
"""
MAKE_ROWS = """import sqlite3, sys
sqlite3.connect(sys.argv[1]).execute("CREATE TABLE rows (number)")
"""


@scenario("one_row_for_all_clients", lasts_s=10)
def one_row_for_all_clients(stage: Stage) -> Iterator[Truth]:
    """A server has a process for each client, and all of them want the same row, one after the other."""
    port = free_port()
    server = stage.python(SERVE_ONE_ROW, port, stage.chance.uniform(0.005, 0.1))
    stage.run("sleep", 0.5)
    stage.python(ASK_SHORTLY, port)
    yield Truth()
    for _ in range(stage.chance.randint(4, 9)):
        stage.python(ASK_SHORTLY, port)
    yield Truth("lock_contention", culprits=(server.culprit,))


@scenario("tries_the_lock_again_and_again", lasts_s=10)
def tries_the_lock_again_and_again(stage: Stage) -> Iterator[Truth]:
    """Processes write to one SQLite database, and keep it locked while they do something else."""
    path = stage.folder / "base"
    stage.python(MAKE_ROWS, path)
    yield Truth()
    keeps_s = stage.chance.uniform(0.05, 0.5)
    program = stage.python(WRITE_ROWS, path, stage.chance.randint(4, 9), keeps_s, 0.005)
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("seldom_meet_at_the_lock", lasts_s=10, tags=("control",))
def seldom_meet_at_the_lock(stage: Stage) -> Iterator[Truth]:
    """Processes write to one SQLite database now and then, and have it locked for a moment only."""
    path = stage.folder / "base"
    stage.python(MAKE_ROWS, path)
    yield Truth()
    stage.python(WRITE_ROWS, path, stage.chance.randint(3, 6), 0, stage.chance.uniform(0.08, 0.3))
    yield Truth()
