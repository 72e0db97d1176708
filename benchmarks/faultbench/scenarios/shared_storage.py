"""Storage that many share: servers of files that stand still, groups that may use little of a disk."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.disks import disk, served_file
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.disk import LOOP_TOOLS, filled
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
