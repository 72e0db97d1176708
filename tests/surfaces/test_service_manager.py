"""What a service manager is told by each part, over a socket like its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield listener


def started(manager, *command, stdin=subprocess.DEVNULL):
    return subprocess.Popen(
        [sys.executable, "-m", "kernelsight", *command],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"NOTIFY_SOCKET": manager.getsockname()},
    )


def waiting(manager):
    """What was said and not read."""
    manager.settimeout(0)
    while True:
        try:
            yield manager.recv(100)
        except BlockingIOError:
            return


@pytest.mark.parametrize(
    "command",
    [
        ("collect", "load", "--interval", "0.2"),
        ("ingest",),
        ("watch", "--every", "0.2"),
        ("start", "load", "memory", "--no-agent"),
    ],
)
def test_a_part_says_that_it_is_ready_and_then_that_it_goes_on(manager, tmp_path, monkeypatch, command):
    path = str(tmp_path / "db")
    monkeypatch.setenv("KERNELSIGHT_DB_PATH", path)
    subprocess.run([sys.executable, "-m", "kernelsight", "ingest", "--init-only"], check=True, capture_output=True)
    process = started(manager, *command, stdin=subprocess.PIPE)
    try:
        assert manager.recv(100) == b"READY=1\nWATCHDOG=1"
        assert manager.recv(100) == b"WATCHDOG=1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdin.close()
        assert process.wait(60) == 0
    if command[0] == "start":
        said = set(waiting(manager))
        assert b"STOPPING=1" in said
        assert b"READY=1\nWATCHDOG=1" not in said  # its parts do not speak for it


def test_a_manager_that_is_gone_is_no_reason_to_end(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "kernelsight", "collect", "load", "--interval", "0.1", "--duration", "0.3"],
        env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "gone")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0
    assert ran.stdout
