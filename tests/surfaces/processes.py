"""Real processes for the tests of the surfaces."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import forks

COMMAND = [sys.executable, "-c", "from kernelsight.surfaces.cli.main import main; main(prog_name='kernelsight')"]
PATIENCE_S = 60
FORKED = {"anomalies", "ask", "diagnose", "mute", "query", "signals", "status", "unmute"}
NOT_FORKED = {"--live", "agent", "collect", "doctor", "ingest", "mcp", "reclassify", "repair", "start", "watch"}
"""What gives up rights for good, looks at its own process, or starts others."""


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KERNELSIGHT_")}
    return {**kept, "COLUMNS": "200", "KERNELSIGHT_NO_WEB": "1", **more}


def kernelsight(*arguments, **options):
    """Run a command to its end; one that only reads is forked where that is the same (:mod:`forks`)."""
    words = [str(argument) for argument in arguments]
    asked = {"timeout": PATIENCE_S, "env": environment(), **options}
    only_reads = FORKED.intersection(words) and not NOT_FORKED.intersection(words)
    if only_reads and not options.keys() - {"timeout", "env", "cwd"} and forks.may_fork(asked["env"]):
        return forks.run(words, **asked)
    return started(*arguments, **options)


def started(*arguments, **options):
    """Run a command to its end, from the start of its interpreter."""
    options = {"timeout": PATIENCE_S, "env": environment(), **options}
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, **options)


@contextlib.contextmanager
def running(*arguments, **options):
    """A command in the background; it and all that it started are gone afterwards, whatever the test did."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment(), **options}
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], **options)
    seen: set[int] = set()
    try:
        yield process
    finally:
        seen |= set(children(process.pid))
        if process.poll() is None:
            process.kill()
        process.communicate()
        for pid in seen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def until(condition, what, patience_s=PATIENCE_S):
    """Poll until a condition gives something true; return that."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {patience_s} s")


def children(pid):
    """Pids of the living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(entry.name))
    return found


def child(pid, word):
    """The child of a process that has this word in its command line, if it is there already."""
    for candidate in children(pid):
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{candidate}/cmdline").read_bytes().split(b"\0"):
                return candidate
    return None


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ask(database, sql, *parameters):
    """Ask with the stock module, as anybody would; no rows while there is no such database or table."""
    if not Path(database).exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE_S)
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


def rows(database, table):
    found = ask(database, f"SELECT count(*) FROM {table}")
    return found[0][0] if found else 0
