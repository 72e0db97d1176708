"""Storage that is broken: devices that answer with errors, file systems that become read-only; and look-alikes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.faultbench.disks import disk, report_error, slow_disk
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.disk import LOOP_TOOLS, READ, filled
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Truth

READ_ON = READ.replace(
    "    os.preadv(file, [place], random.randrange(pieces) * size)\n",
    "    try:\n"
    "        os.preadv(file, [place], random.randrange(pieces) * size)\n"
    "    except OSError:\n"
    "        time.sleep(0.1)\n"
    "        continue\n",
)
LOG_ON = """import os, sys, time
file = os.open(os.path.join(sys.argv[1], "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while True:
    try:
        os.write(file, b"a line of a log\\n" * 20)
        os.fsync(file)
    except OSError:
        time.sleep(0.2)
    time.sleep(float(sys.argv[2]))
"""
MEET_ERRORS = """import os, sys, time
main, terminal = os.openpty()
os.close(main)
emulator, session = os.openpty()
os.close(session)
memory = os.open("/proc/self/mem", os.O_RDONLY)
while True:
    for attempt in (
        lambda: os.write(terminal, b"hello"),
        lambda: os.read(emulator, 100),
        lambda: os.pread(memory, 8, 16),
        lambda: os.open(os.path.join(sys.argv[1], "new"), os.O_WRONLY | os.O_CREAT),
        lambda: os.mkdir(os.path.join(sys.argv[1], "folder")),
    ):
        try:
            attempt()
        except OSError:
            pass
        else:
            sys.exit("it did not fail")
    time.sleep(float(sys.argv[2]))
"""


@scenario("device_with_io_errors", needs=("gcc", *LOOP_TOOLS), lasts_s=12)
def device_with_io_errors(stage: Stage) -> Iterator[Truth]:
    """A device answers every request with an error, from a moment on; one program reads there, another one commits."""
    with slow_disk(stage, 200, 0) as broken:
        stage.python(READ_ON, filled(broken.folder, 64), 4096, stage.chance.uniform(0.01, 0.05))
        stage.python(LOG_ON, broken.folder, stage.chance.uniform(0.05, 0.2))
        yield Truth()
        broken.break_down()
        yield Truth("io_errors", culprits=(broken.culprit,))


@scenario("file_system_made_read_only", needs=LOOP_TOOLS, lasts_s=12)
def file_system_made_read_only(stage: Stage) -> Iterator[Truth]:
    """The kernel finds an error in a file system and lets nobody write there any more, while a program logs there."""
    damaged = disk(stage, 100)
    stage.run("mount", "-o", "remount,errors=remount-ro", damaged.folder)
    stage.python(LOG_ON, damaged.folder, stage.chance.uniform(0.05, 0.2))
    yield Truth()
    report_error(damaged)
    yield Truth("io_errors", culprits=(damaged.culprit,), changed=(str(damaged.folder),))


LOG_ANEW = """import os, sys, time
while True:
    try:
        with open(os.path.join(sys.argv[1], "log"), "ab") as file:
            file.write(b"a line of a log\\n" * 20)
    except OSError:
        pass
    time.sleep(float(sys.argv[2]))
"""
WRITE_WITHOUT_ASKING = """import os, random, sys, time
file = os.open(os.path.join(sys.argv[1], "spool"), os.O_WRONLY | os.O_CREAT)
while True:
    os.pwrite(file, random.randbytes(4096), random.randrange(2000) * 4096)
    time.sleep(float(sys.argv[2]))
"""


@scenario("made_read_only_by_hand", needs=LOOP_TOOLS, lasts_s=12, tags=("control",))
def made_read_only_by_hand(stage: Stage) -> Iterator[Truth]:
    """Somebody makes a file system read-only for a snapshot, while a program wants to log there now and then."""
    archive = disk(stage, 100)
    stage.python(LOG_ANEW, archive.folder, stage.chance.uniform(0.5, 1.0))
    yield Truth()
    for _ in range(50):  # the program has the file open for a moment each time
        with suppress(subprocess.CalledProcessError):
            stage.run("mount", "-o", "remount,ro", archive.folder)
            break
        time.sleep(0.02)
    yield Truth()


@scenario("writes_are_lost_unseen", needs=("gcc", *LOOP_TOOLS), lasts_s=14)
def writes_are_lost_unseen(stage: Stage) -> Iterator[Truth]:
    """A device fails under a program that only writes and never asks whether it arrived: no call of it fails."""
    with slow_disk(stage, 200, 0) as broken:
        stage.run("mount", "-o", "remount,commit=1", broken.folder)
        stage.python(WRITE_WITHOUT_ASKING, broken.folder, stage.chance.uniform(0.01, 0.03))
        yield Truth()
        broken.break_down()
        yield Truth("io_errors", culprits=(broken.culprit,))


@scenario("errors_that_mean_nothing", needs=LOOP_TOOLS, lasts_s=12, tags=("control",))
def errors_that_mean_nothing(stage: Stage) -> Iterator[Truth]:
    """A program uses terminals that were hung up and memory that is not there, and tries to write to an archive."""
    archive = disk(stage, 100)
    stage.run("mount", "-o", "remount,ro", archive.folder)
    yield Truth()
    stage.python(MEET_ERRORS, archive.folder, stage.chance.uniform(0.02, 0.2))
    yield Truth()
