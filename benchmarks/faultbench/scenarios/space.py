"""Space and inodes that run out, on file systems of the scenario's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.scenario import Culprit, Truth, scenario
from benchmarks.faultbench.stage import Stage

WRITE = """import os, sys, time
folder, size, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with open(os.path.join(folder, "log"), "wb", buffering=0) as file:
    while True:
        try:
            file.write(bytes(size))
        except OSError:
            pass
        time.sleep(pause)
"""
MAKE_FILES = """import os, sys, time
folder, pause, count = sys.argv[1], float(sys.argv[2]), 0
while True:
    try:
        open(os.path.join(folder, str(count)), "w").close()
        count += 1
    except OSError:
        pass
    time.sleep(pause)
"""


def mounted(stage: Stage, size_mb: int, *, inodes: int = 0) -> Path:
    """A file system of a size of its own, on a loop device."""
    folder, image = stage.folder / "mount", stage.folder / "image"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    stage.run("mkfs.ext4", "-q", "-F", *(("-N", inodes) if inodes else ()), image)
    stage.run("mount", "-o", "loop", image, folder, undo=("umount", "-l", folder))
    return folder


@scenario("disk_fills_up", needs=("mkfs.ext4", "losetup"))
def disk_fills_up(stage: Stage) -> Iterator[Truth]:
    """A program writes a log until nothing is left, and goes on trying."""
    folder = mounted(stage, stage.chance.choice((48, 64, 96)))
    yield Truth()
    writer = stage.python(WRITE, folder, 1 << 20, stage.chance.uniform(0.05, 0.15))
    where = Culprit((str(writer.pid), str(folder)), (writer.name, str(folder)))
    yield Truth("disk_full", culprits=(where,))


@scenario("disk_will_be_full_soon", needs=("mkfs.ext4", "losetup"))
def disk_will_be_full_soon(stage: Stage) -> Iterator[Truth]:
    """A program writes a log at a steady rate that leaves half a minute."""
    folder = mounted(stage, 256)
    yield Truth()
    writer = stage.python(WRITE, folder, 1 << 20, stage.chance.uniform(0.12, 0.18))
    where = Culprit((str(writer.pid), str(folder)), (writer.name, str(folder)))
    yield Truth("disk_full", culprits=(where,))


@scenario("no_inodes_left", needs=("mkfs.ext4", "losetup"))
def no_inodes_left(stage: Stage) -> Iterator[Truth]:
    """A program makes empty files until there is no inode left, with plenty of space."""
    folder = mounted(stage, 64, inodes=stage.chance.randint(1500, 4000))
    yield Truth()
    maker = stage.python(MAKE_FILES, folder, 0.002)
    where = Culprit((str(maker.pid), str(folder)), (maker.name, str(folder)))
    yield Truth("inode_exhaustion", culprits=(where,))


@scenario("large_copy", tags=("control",))
def large_copy(stage: Stage) -> Iterator[Truth]:
    """A program writes some hundred megabytes to a file system that has room for many times that."""
    yield Truth()
    stage.python(
        "import os, sys, time\nwith open('copy', 'wb') as file:\n    for _ in range(int(sys.argv[1])):\n"
        "        file.write(os.urandom(1 << 20))\n        time.sleep(0.02)\ntime.sleep(60)\n",
        stage.chance.randint(200, 400),
    )
    yield Truth()
