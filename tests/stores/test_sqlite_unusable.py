"""Why a database cannot be written is told as the file system has it, on real file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = """
import sys, subprocess, resource
sys.path.insert(0, {tests!r})
from rows import rows, struct
from kernelsight.stores.base import Batch, open_writer
from kernelsight.errors import StoreError
path, before = sys.argv[1:3]
writer = open_writer(path)
writer.write(Batch({{struct("syscall_events"): rows("syscall_events", 200)}}))
if before == "limit":
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
elif before:
    subprocess.run(before, shell=True, check=True)
try:
    for start in range(1, 400):
        writer.write(Batch({{struct("syscall_events"): rows("syscall_events", 200, start * 200)}}))
except StoreError as error:
    print(error)
"""

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("mkfs.ext4"),
    reason="needs root, unshare and mkfs.ext4",
)


def written(tmp_path: Path, mount: str, before: str, *, path: str = "mnt/k.db") -> str:
    """What a writer says on a file system of its own, mounted in a mount namespace of its own."""
    (tmp_path / "mnt").mkdir(mode=0o700)
    program = ROWS.format(tests=str(Path(__file__).parent))
    script = f"{mount} && exec {sys.executable} -c \"$PROGRAM\" {path} '{before}'"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script] if mount else None
    done = subprocess.run(
        command or [sys.executable, "-c", program, path, before],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PROGRAM": program},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_mounts
def test_an_ext4_file_system_that_the_kernel_made_read_only_is_said_to_be_so(tmp_path):
    mount = (
        "truncate -s 24M image && mkfs.ext4 -q image && mount -o loop,errors=remount-ro image mnt && chmod 700 mnt"
        " && test -w /sys/fs/ext4/$(basename $(findmnt -no SOURCE mnt))/trigger_fs_error"
    )
    probe = tmp_path / "probe"
    (probe / "mnt").mkdir(parents=True)
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount]
    if subprocess.run(command, cwd=probe, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted from a file here")
    said = written(tmp_path, mount, "echo a test > /sys/fs/ext4/$(basename $(findmnt -no SOURCE mnt))/trigger_fs_error")
    assert "is mounted read-only" in said


@needs_mounts
def test_a_full_file_system_is_said_to_be_full(tmp_path):
    said = written(tmp_path, "mount -t tmpfs -o size=6m,mode=700 none mnt", "")
    assert "the disk is full" in said


def test_a_limit_of_the_size_of_files_is_no_full_disk(tmp_path):
    said = written(tmp_path, "", "limit", path="k.db")
    assert "EFBIG" in said
    assert "disk is full" not in said
