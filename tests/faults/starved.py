"""A program for a file system of its own in ``mnt``: fills it or makes it read-only under a store that is in use.

Prints what each part said, one JSON object; ends with an error where the store is not whole afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from scene import Running, backup, check, in_a_fork, repair, twins

from kernelsight.errors import StoreError

MOUNT = Path("mnt")
STORE = MOUNT / "k.db"


def fill() -> Path:
    """Leave no byte free."""
    ballast = MOUNT / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1 << 9):
            try:
                while True:
                    file.write(os.urandom(size))
            except OSError:
                os.fsync(file.fileno())
    return ballast


def said_by(command) -> str:
    """What a command says that cannot do its work, in a process of its own."""
    read_end, write_end = os.pipe()

    def attempt() -> int:
        try:
            command(STORE, 0, lambda _: (_ for _ in ()).throw(StoreError("it did all of it")))
        except StoreError as error:
            os.write(write_end, str(error).encode())
        return 0

    in_a_fork(attempt)
    os.close(write_end)
    with os.fdopen(read_end) as said:
        return said.read()


def full() -> dict[str, str]:
    """The disk is full while the daemon stores and others work, and then it is not any more."""
    daemon = Running("daemon", STORE)
    daemon.wait_for(15)
    ballast = fill()
    deadline = time.monotonic() + 30
    before = -1
    while daemon.reports != before:  # what SQLite has room for within its files
        assert time.monotonic() < deadline or not daemon.has_ended()
        before = daemon.reports
        time.sleep(0.5)
        daemon.look()
    said = {"twins": said_by(twins), "backup": said_by(backup)}
    assert not daemon.has_ended(), "the daemon has ended"
    ballast.unlink()
    daemon.wait_for(daemon.reports + 5)
    daemon.kill()
    assert said_by(twins) == said_by(backup) == "it did all of it"
    in_a_fork(lambda: check(STORE, daemon.reported))
    daemon = Running("daemon", STORE, daemon.reported)
    daemon.wait_for(3)
    daemon.kill()
    fill()
    said["repair"] = said_by(repair)
    (MOUNT / "ballast").unlink()
    in_a_fork(lambda: check(STORE, daemon.reported))
    return said


def read_only() -> dict[str, str]:
    """The kernel makes the file system read-only; after a check of it everything is there and goes on."""
    daemon = Running("daemon", STORE)
    daemon.wait_for(15)
    device = subprocess.run(["findmnt", "-no", "SOURCE", MOUNT], capture_output=True, text=True, check=True).stdout
    trigger = Path("/sys/fs/ext4") / Path(device.strip()).name / "trigger_fs_error"
    trigger.write_text("a test")
    time.sleep(0.3)
    said = {"twins": said_by(twins), "backup": said_by(backup), "repair": said_by(repair)}
    assert not daemon.has_ended(), "the daemon has ended"
    daemon.kill()
    subprocess.run(["umount", MOUNT], check=True)
    subprocess.run(["e2fsck", "-p", "image"], capture_output=True, check=False)
    subprocess.run(["mount", "-o", "loop", "image", MOUNT], check=True)
    # The kernel may have refused the last of what SQLite wrote and did not sync.
    in_a_fork(lambda: check(STORE, daemon.reported, may_lose=True))
    return said


if __name__ == "__main__":
    print(json.dumps({"full": full, "read_only": read_only}[sys.argv[1]]()))
