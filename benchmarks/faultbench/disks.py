"""Disks of a scenario's own: loop devices over files of the real disk, or over one that answers as slowly as told."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faultbench.stage import Actor, Stage
from benchmarks.faultbench.truth import Culprit

NEVER = -1
"""The delay of a device that does not answer at all."""
_PATIENCE_S = 5.0
_COUNT = itertools.count()


@dataclass(frozen=True, slots=True)
class Disk:
    """A loop device with an ext4 on it."""

    device: str
    """Its name, such as loop3."""
    folder: Path
    """Where it is mounted."""

    @property
    def culprit(self) -> Culprit:
        """It: the device, or its mount."""
        names = (self.device, f"/dev/{self.device}", str(self.folder))
        return Culprit(names, names)


@dataclass(frozen=True, slots=True)
class ServedFile:
    """One file in a file system of FUSE, and the program that serves it."""

    path: Path
    server: Actor

    @property
    def culprit(self) -> Culprit:
        """Its mount."""
        return Culprit((str(self.path.parent),))

    def slow_down(self) -> None:
        """From now on, requests take their time."""
        self.server.process.send_signal(signal.SIGUSR1)

    def break_down(self) -> None:
        """From now on, reads and writes fail (EIO)."""
        self.server.process.send_signal(signal.SIGUSR2)


@dataclass(frozen=True, slots=True)
class SlowDisk(Disk):
    """A disk every request of which takes a while, from a moment on."""

    served: ServedFile
    """What it is made of."""

    def slow_down(self) -> None:
        """From now on, requests take their time."""
        self.served.slow_down()

    def break_down(self) -> None:
        """From now on, requests fail (EIO)."""
        self.served.break_down()


def disk(stage: Stage, size_mb: int) -> Disk:
    """A disk over a sparse file on the disk of the machine, as fast as that; nothing is cached twice."""
    return Disk(*_mounted(stage, _image(stage, stage.folder, size_mb)))


@contextmanager
def served_file(stage: Stage, backing: Path, delay_ms: float, *, at_once: int = 4) -> Iterator[ServedFile]:
    """A file that is read and written by way of a program, which takes as long as told once it is slowed down.

    Its server is ended with the context, so that nobody hangs on it when processes are ended.
    """
    served = stage.folder / f"serving-{next(_COUNT)}"
    served.mkdir()
    stage.later(lambda: stage.unmount(served))
    server = stage.c("slow_file", served, backing, round(1000 * delay_ms), at_once)
    path = served / "image"
    deadline = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{served} was not mounted")
        time.sleep(0.01)
    try:
        yield ServedFile(path, server)
    finally:
        server.end()


@contextmanager
def slow_disk(stage: Stage, size_mb: int, delay_ms: float, *, at_once: int = 4) -> Iterator[SlowDisk]:
    """A disk that serves so many requests at a time, each of which takes as long as told once it is slowed down."""
    folder = stage.folder / f"served-{next(_COUNT)}"
    folder.mkdir()
    backing = _image(stage, folder, size_mb)
    with served_file(stage, backing, delay_ms, at_once=at_once) as served:
        yield SlowDisk(*_mounted(stage, served.path), served)


def report_error(disk: Disk) -> None:
    """Let the kernel find an error in a disk's file system, as it does in one that is damaged (fs/ext4/sysfs.c)."""
    Path("/sys/fs/ext4", disk.device, "trigger_fs_error").write_text("a test")


@contextmanager
def frozen(disk: Disk, stage: Stage) -> Iterator[None]:
    """Let nobody write to a disk's file system meanwhile, as a snapshot does."""
    stage.run("fsfreeze", "--freeze", disk.folder)
    try:
        yield
    finally:
        stage.run("fsfreeze", "--unfreeze", disk.folder)


def _image(stage: Stage, folder: Path, size_mb: int) -> Path:
    image = folder / f"image-{next(_COUNT)}"
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    stage.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    return image


def _mounted(stage: Stage, image: Path) -> tuple[str, Path]:
    folder = stage.folder / f"mount-{next(_COUNT)}"
    folder.mkdir()
    device = stage.run("losetup", "--find", "--show", "--direct-io=on", image)
    stage.later(lambda: stage.run("losetup", "--detach", device))
    stage.run("mount", device, folder)
    stage.later(lambda: stage.unmount(folder))
    return Path(device).name, folder
