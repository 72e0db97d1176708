"""Storage that many share: servers of files that stand still, groups that may use little of a disk, bulk loads."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.disks import disk, served_file, slow_disk
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.disk import LOOP_TOOLS, filled
from benchmarks.faultbench.scenarios.real_servers import postgres
from benchmarks.faultbench.stage import CGROUPS, Stage
from benchmarks.faultbench.truth import Culprit, Truth

LOOK_AT_FILES = """import os, sys, time
while True:
    with open(sys.argv[1], "rb", buffering=0) as file:
        os.fstat(file.fileno())
        file.read(4096)
    time.sleep(float(sys.argv[2]))
"""
WRITE_AND_COMMIT = """import mmap, os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
piece = bytes(int(sys.argv[2]))
place = 0
while True:
    os.pwrite(file, piece, place * len(piece))
    os.fdatasync(file)
    place = (place + 1) % 64
    time.sleep(float(sys.argv[3]))
"""
WRITE_DIRECTLY = """import mmap, os, sys, time
size, pause = int(sys.argv[2]), float(sys.argv[3])
file, place = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_DIRECT), mmap.mmap(-1, size)
at = 0
while True:
    os.pwritev(file, [place], at * size)
    at = (at + 1) % 64
    time.sleep(pause)
"""
QUERY = """import select, socket, struct, sys, time
port, pause, statements = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
connection = socket.create_connection(("127.0.0.1", port))
words = b"user\\0postgres\\0database\\0postgres\\0\\0"
connection.sendall(struct.pack(">II", len(words) + 8, 196608) + words)
def until_ready():
    held = b""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            sys.exit("the server has gone")
        held = (held + data)[-6:]
        if held[:5] == b"Z\\0\\0\\0\\5":
            return
until_ready()
first = True
while True:
    for statement in statements if first else statements[1:]:
        words = statement.encode() + b"\\0"
        connection.sendall(b"Q" + struct.pack(">I", len(words) + 4) + words)
        until_ready()
        time.sleep(pause)
    first = False
"""


@scenario("stopped_server_of_files", needs=("gcc",), lasts_s=14)
def stopped_server_of_files(stage: Stage) -> Iterator[Truth]:
    """Somebody stops the program that serves a file system of FUSE, and those who open files there hang."""
    with served_file(stage, filled(stage.folder, 16), 0, at_once=stage.chance.randint(1, 4)) as share:
        for _ in range(stage.chance.randint(1, 4)):
            stage.python(LOOK_AT_FILES, share.path, stage.chance.uniform(0.01, 0.1))
        yield Truth()
        share.server.process.send_signal(signal.SIGSTOP)
        where = Culprit(
            (*share.culprit.ids, *share.server.culprit.ids), (*share.culprit.names, *share.server.culprit.names)
        )
        yield Truth("blocked_io", culprits=(where,), faults=("stopped_process",))


@scenario("group_that_may_write_little", needs=LOOP_TOOLS, lasts_s=14)
def group_that_may_write_little(stage: Stage) -> Iterator[Truth]:
    """A control group may write no more than a few KiB a second to a disk, and its program wants more."""
    mine = disk(stage, 200)
    group = stage.cgroup("blkio", {})
    stage.python(WRITE_DIRECTLY, mine.folder / "file", 16_384, 0.01, groups=[group])
    stage.python(WRITE_AND_COMMIT, mine.folder / "other", 4096, 0.05)
    yield Truth()
    device = Path(f"/sys/block/{mine.device}/dev").read_text().strip()
    limit = stage.chance.randint(50, 300) * 1000
    if (CGROUPS / "blkio").is_dir():
        (group / "blkio.throttle.write_bps_device").write_text(f"{device} {limit}")
    else:
        (group / "io.max").write_text(f"{device} wbps={limit}")
    path = f"/{group.name}"
    yield Truth("disk_latency", culprits=(Culprit((path,), (path,)),))


@scenario("bulk_load_beside_small_commits", needs=("gcc", *LOOP_TOOLS), lasts_s=18)
def bulk_load_beside_small_commits(stage: Stage) -> Iterator[Truth]:
    """A program loads a table of PostgreSQL in bulk, and the small commits of others take many times as long."""
    with slow_disk(stage, 2500, stage.chance.uniform(2, 5), at_once=1) as slow:
        server, port = postgres(stage, slow.folder)
        slow.slow_down()
        for client in range(3):
            stage.python(
                QUERY, port, 0.02, f"CREATE TABLE orders{client} (n int, what text)",
                f"INSERT INTO orders{client} VALUES (1, 'x')",
            )  # fmt: skip
        yield Truth()
        load = (
            "TRUNCATE loaded; INSERT INTO loaded SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 200000) n"
        )
        bulk = stage.python(QUERY, port, 0, "CREATE TABLE loaded (n int, what text)", load, "CHECKPOINT")
        who = Culprit(
            (*bulk.culprit.ids, *server.culprit.ids), (*bulk.culprit.names, *server.culprit.names, "postgres")
        )
        yield Truth("fsync_stall", culprits=(who,), faults=("disk_saturation",))
