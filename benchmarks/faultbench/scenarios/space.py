"""Space and inodes that run out, on file systems of the scenario's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Truth

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
NOTE = """import os, sys, time
while True:
    try:
        with open(os.path.join(sys.argv[1], "note"), "w") as file:
            file.write("z" * 3000)
    except OSError:
        pass
    time.sleep(float(sys.argv[2]))
"""
COPY = """import os, sys, time
with open("copy", "wb") as file:
    for _ in range(int(sys.argv[1])):
        file.write(os.urandom(1 << 20))
        time.sleep(0.02)
time.sleep(60)
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


def in_memory(stage: Stage, options: str) -> Path:
    """A tmpfs of its own."""
    folder = stage.folder / "spool"
    folder.mkdir()
    stage.run("mount", "-t", "tmpfs", "-o", options, "spool", folder, undo=("umount", "-l", folder))
    return folder


@scenario("disk_fills_up", needs=("mkfs.ext4", "losetup"))
def disk_fills_up(stage: Stage) -> Iterator[Truth]:
    """A program writes a log until nothing is left, and goes on trying."""
    folder = mounted(stage, stage.chance.choice((48, 64, 96)))
    yield Truth()
    writer = stage.python(WRITE, folder, 1 << 20, stage.chance.uniform(0.05, 0.15))
    where = writer.at(folder)
    yield Truth("disk_full", culprits=(where,))


@scenario("disk_will_be_full_soon", needs=("mkfs.ext4", "losetup"))
def disk_will_be_full_soon(stage: Stage) -> Iterator[Truth]:
    """A program writes a log at a steady rate that leaves half a minute."""
    folder = mounted(stage, 256)
    yield Truth()
    writer = stage.python(WRITE, folder, 1 << 20, stage.chance.uniform(0.12, 0.18))
    where = writer.at(folder)
    yield Truth("disk_full", culprits=(where,))


@scenario("no_inodes_left", needs=("mkfs.ext4", "losetup"))
def no_inodes_left(stage: Stage) -> Iterator[Truth]:
    """A program makes empty files until there is no inode left, with plenty of space."""
    folder = mounted(stage, 64, inodes=stage.chance.randint(1500, 4000))
    yield Truth()
    maker = stage.python(MAKE_FILES, folder, 0.002)
    where = maker.at(folder)
    yield Truth("inode_exhaustion", culprits=(where,))


@scenario("spool_in_memory_overflows", tags=("red_herring",))
def spool_in_memory_overflows(stage: Stage) -> Iterator[Truth]:
    """One program fills a file system in memory that others need a little of, beside a larger copy to elsewhere."""
    folder = in_memory(stage, f"size={stage.chance.choice((48, 64, 96))}m")
    stage.python(NOTE, folder, stage.chance.uniform(0.05, 0.2))
    stage.python(COPY, stage.chance.randint(200, 400))
    yield Truth()
    writer = stage.python(WRITE, folder, 256 << 10, stage.chance.uniform(0.01, 0.03))
    where = writer.at(folder)
    yield Truth("disk_full", culprits=(where,))


@scenario("script_uses_up_inodes", needs=("dash",))
def script_uses_up_inodes(stage: Stage) -> Iterator[Truth]:
    """A shell script leaves an entry behind for everything that it does, until there is no inode left."""
    folder = in_memory(stage, f"size=64m,nr_inodes={stage.chance.randint(2000, 6000)}")
    yield Truth()
    script = 'n=0; while true; do : > "$0/$n" || sleep 0.01; n=$((n + 1)); done'
    maker = stage.start(["dash", "-c", script, folder])
    where = maker.at(folder)
    yield Truth("inode_exhaustion", culprits=(where,))


@scenario("large_copy", tags=("control",))
def large_copy(stage: Stage) -> Iterator[Truth]:
    """A program writes some hundred megabytes to a file system that has room for many times that."""
    yield Truth()
    stage.python(COPY, stage.chance.randint(200, 400))
    yield Truth()
