"""File systems: which mounts are asked, and that one which does not answer holds nothing up."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from recordings import NOW, recorded_space

from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.filesystem import FilesystemCollector, parse_mountinfo, watched

ROOT = "20 1 8:1 / / rw - ext4 /dev/sda1 rw"


def points(*lines: str, remote_too: bool = False) -> list[str]:
    mounts = parse_mountinfo("".join(f"{line}\n" for line in (ROOT, *lines)).encode())
    return [mount.point.decode() for mount in watched(mounts, remote_too=remote_too)]


def tree(tmp_path: Path, *lines: str) -> Host:
    (tmp_path / "self").mkdir(exist_ok=True)
    (tmp_path / "self/mountinfo").write_text("".join(f"{line}\n" for line in (ROOT, *lines)))
    return Host(proc=tmp_path, options={"remote_filesystems": True})


@pytest.mark.parametrize(
    "line",
    [
        "21 20 0:5 / /proc rw - proc proc rw",
        "21 20 0:5 / /sys/fs/cgroup rw - tmpfs tmpfs rw",
        "21 20 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro",
        "21 20 0:40 / /var/lib/containers/1 rw - overlay overlay rw,lowerdir=x",
        "21 20 0:41 / /net/home rw - nfs4 server:/home rw,hard",
        "21 20 0:42 / /remote rw - fuse.sshfs host: rw",
        "21 20 8:1 /srv /export rw - ext4 /dev/sda1 rw",
        "21 20 8:1 / /rescue rw - ext4 /dev/sda1 rw",
    ],
)
def test_pseudo_remote_and_bind_mounts_are_left_out(line):
    assert points(line) == ["/"]


@pytest.mark.parametrize(
    ("line", "point"),
    [
        ("21 20 8:2 / /home rw shared:7 master:3 - xfs /dev/sda2 rw", "/home"),
        ("21 20 0:30 / /run rw - tmpfs tmpfs rw,size=1m", "/run"),
        ("21 20 0:31 /@home /home rw - btrfs /dev/sdb rw,subvol=/@home", "/home"),
        ("21 20 8:17 / /mnt/win rw - fuseblk /dev/sdb1 rw", "/mnt/win"),
        (r"21 20 8:2 / /a\040b\134c rw - ext4 /dev/sda2 rw", "/a b\\c"),
    ],
)
def test_local_file_systems_are_asked(line, point):
    assert points(line) == ["/", point]


def test_remote_ones_are_asked_on_request():
    assert points("21 20 0:41 / /net/home rw - nfs4 server:/home rw", remote_too=True) == ["/", "/net/home"]


def test_of_mounts_over_each_other_the_one_that_is_seen_is_taken():
    assert points(
        "21 20 8:2 / /data rw - ext4 /dev/sda2 rw",
        "22 21 8:3 / /data rw - ext4 /dev/sda3 rw",
        "23 22 8:4 / /data/in rw - ext4 /dev/sda4 rw",
        "24 21 8:5 / /data/under rw - ext4 /dev/sda5 rw",
        "25 20 8:6 / /deep/down rw - ext4 /dev/sda6 rw",
        "26 20 8:7 / /deep rw - ext4 /dev/sda7 rw",
    ) == ["/", "/data", "/data/in", "/deep"]


def test_a_container_whose_root_is_an_overlay_has_space():
    mounts = parse_mountinfo(b"20 1 0:40 / / rw - overlay overlay rw\n21 20 0:41 / /x rw - overlay overlay rw\n")
    assert [mount.point for mount in watched(mounts, remote_too=False)] == [b"/"]


def test_a_dead_server_holds_up_nothing_and_comes_back(tmp_path):
    alive = threading.Event()
    asked: list[bytes] = []

    def statvfs(point: bytes) -> os.statvfs_result:
        asked.append(point)
        if point == b"/net":
            assert alive.wait(60)
        return recorded_space(point)

    collector = FilesystemCollector(tree(tmp_path, "21 20 0:41 / /net rw - nfs4 server:/ rw"), statvfs)
    for _ in range(5):
        assert [event.mount_point for event in collector.collect(NOW)] == ["/"]
    assert asked.count(b"/net") == 1  # one thread waits, however often it is due
    alive.set()
    deadline = time.monotonic() + 30
    while [event.mount_point for event in collector.collect(NOW)] != ["/", "/net"]:
        assert time.monotonic() < deadline
    collector.close()


def test_a_mount_that_cannot_be_asked_is_left_out(tmp_path):
    def statvfs(point: bytes) -> os.statvfs_result:
        if point == b"/secret":
            raise PermissionError(13, "Permission denied")
        return recorded_space(point)

    collector = FilesystemCollector(tree(tmp_path, "21 20 8:2 / /secret rw - ext4 /dev/sda2 rw"), statvfs)
    assert [event.mount_point for event in collector.collect(NOW)] == ["/"]
    collector.close()


def test_the_root_of_this_machine_has_the_space_that_statvfs_says():
    collector = FilesystemCollector(Host())
    event = next(event for event in collector.collect(NOW) if event.mount_point == "/")
    collector.close()
    said = os.statvfs("/")
    assert event.size_bytes == said.f_blocks * said.f_frsize
    assert event.inodes_total == (said.f_files or None)
    assert 0 <= event.free_bytes <= event.size_bytes
