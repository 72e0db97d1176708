"""A disk that is full or read-only under everything that writes: it is said, nothing is lost, and it goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("mkfs.ext4"),
        reason="needs root, unshare and mkfs.ext4",
    ),
]
MOUNT = (
    "truncate -s 32M image && mkfs.ext4 -q image && mkdir mnt"
    " && mount -o loop,errors=remount-ro image mnt && chmod 700 mnt"
    " && test -w /sys/fs/ext4/$(basename $(findmnt -no SOURCE mnt))/trigger_fs_error"
)
NO_MOUNT = 77


def starved(folder: Path, how: str) -> dict[str, str]:
    program = Path(__file__).with_name("starved.py")
    script = f"({MOUNT}) || exit {NO_MOUNT}; exec {sys.executable} {program} {how}"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode == NO_MOUNT:
        pytest.skip("no file system can be mounted from a file here")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk_is_said_and_everything_goes_on_when_there_is_room(tmp_path):
    said = starved(tmp_path, "full")
    for part in ("twins", "backup", "repair"):
        assert re.search("No space left on device|disk is full", said[part]), (part, said[part])


def test_a_file_system_that_becomes_read_only_is_said_and_nothing_that_was_synced_is_lost(tmp_path):
    said = starved(tmp_path, "read_only")
    for part in ("twins", "backup", "repair"):
        assert "read-only" in said[part].lower(), (part, said[part])
