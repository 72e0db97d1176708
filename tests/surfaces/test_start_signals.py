"""Signals while the whole system runs: found, gone on with by the next process, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from processes import PATIENCE_S, ask, child, running, until

pytestmark = pytest.mark.slow

# Has 60 of the 64 descriptors open that it may have, and does something, so that it is seen.
HOLDER = """
import os, resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = [os.dup(0) for _ in range(57)]
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    sum(range(100_000)); time.sleep(0.05)
"""


def seen(database, pid):
    """The signals about a process's descriptors: first seen, last seen, end."""
    return ask(
        database,
        "SELECT timestamp, last_seen_ns, end_ns FROM signals WHERE rule = 'descriptors_near_limit' AND pid = ?",
        pid,
    )


def test_a_symptom_is_one_row_that_goes_on_whoever_watches_and_ends(tmp_path):
    database = tmp_path / "k.db"
    with running("start", "--no-agent", "--db-path", database) as system:
        holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.DEVNULL)
        try:
            [(first, last, end)] = until(lambda: seen(database, holder.pid), "the signal")
            assert end is None
            os.kill(child(system.pid, "watch"), signal.SIGKILL)
            until(lambda: seen(database, holder.pid)[0][1] > last + 2 * 10**9, "going on after the restart")
            assert [row[0] for row in seen(database, holder.pid)] == [first]
        finally:
            holder.kill()
            holder.wait()
        until(lambda: seen(database, holder.pid)[0][2], "its end")
        assert len(seen(database, holder.pid)) == 1
        system.send_signal(signal.SIGINT)
        _, said = system.communicate(timeout=PATIENCE_S)
    assert system.returncode == 0, said
    assert "watch was ended by SIGKILL" in said
    [(progress,)] = ask(database, "SELECT progress FROM derivations WHERE name = 'signals'")
    assert "until_ns" in progress
