"""Only the collectors keep root's power: whatever stores and looks is the owner of the database, fenced in."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from processes import COMMAND, PATIENCE_S, alive, children, environment, kernelsight, rows, running, until

from kernelsight.surfaces import landlock

OWNER = 65534
root = pytest.mark.root
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which is what is given up")


@pytest.fixture
def folder():
    """A directory of another user, where everybody can get to it."""
    made = Path(tempfile.mkdtemp(prefix="kernelsight-owner-"))
    made.chmod(0o755)
    os.chown(made, OWNER, OWNER)
    yield made
    shutil.rmtree(made)


def state(pid, *fields):
    text = Path(f"/proc/{pid}/status").read_text()
    return tuple(re.search(rf"^{field}:\t(.*)$", text, re.MULTILINE)[1].split()[0] for field in fields)


def is_lowered(pid):
    """Whether a process has become the owner, without capabilities and without a way back."""
    try:
        return state(pid, "Uid", "Gid", "CapPrm", "CapEff", "NoNewPrivs") == (
            str(OWNER), str(OWNER), "0" * 16, "0" * 16, "1",
        )  # fmt: skip
    except FileNotFoundError:
        return False


@root
@only_root
@pytest.mark.slow
def test_all_parts_but_the_collectors_run_as_the_owner_of_the_directory_and_die_with_the_supervisor(folder):
    database = folder / "k.db"
    with running("start", "load", "memory", "--db-path", database, "--agent-interval", "2") as process:
        until(lambda: database.exists() and rows(database, "load_metrics"), "rows")
        parts = {command_of(pid): pid for pid in children(process.pid)}
        assert set(parts) == {"collect", "ingest", "watch", "agent"}
        for name in set(parts) - {"collect"}:
            until(lambda pid=parts[name]: is_lowered(pid), f"{name} runs as the owner")
        assert state(parts["collect"], "Uid") == ("0",)
        process.kill()
        until(lambda: not any(map(alive, parts.values())), "the end of all parts")
    assert {path.stat().st_uid for path in folder.iterdir()} == {OWNER}
    assert database.stat().st_mode & 0o007 == 0


def command_of(pid):
    """Which command of ours a process runs."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    names = ("collect", "ingest", "watch", "agent")
    return next((word for word in words if word in names), "")


@root
@only_root
@pytest.mark.parametrize("place", ["k.db", "new/below/k.db"])
def test_a_daemon_that_root_starts_makes_what_belongs_to_the_owner(folder, place):
    done = kernelsight("ingest", "--init-only", "--db-path", folder / place)
    assert done.returncode == 0, done.stderr
    assert {path.stat().st_uid for path in folder.rglob("*")} == {OWNER}


@root
@only_root
def test_the_owner_can_neither_trace_nor_read_what_root_started(folder):
    """In its memory is what root had there: keys, and an open terminal into which it could type."""
    tracing = (
        "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True);"
        "print(libc.ptrace(16, int(sys.argv[1]), 0, 0), ctypes.get_errno())"  # PTRACE_ATTACH
    )
    database, become = folder / "k.db", {"user": OWNER, "group": OWNER, "extra_groups": []}
    with running("ingest", "--db-path", database, stdin=subprocess.PIPE) as process:
        until(lambda: database.exists() and is_lowered(process.pid), "a daemon that runs as the owner")
        for name in ("environ", "mem", "maps"):
            tried = subprocess.run(
                ["/bin/cat", f"/proc/{process.pid}/{name}"], capture_output=True, check=False, **become
            )
            assert b"Permission denied" in tried.stderr, name
        tracer = [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, "-c", tracing, str(process.pid)]
        tried = subprocess.run(tracer, capture_output=True, text=True, check=True, cwd="/", **become)
        assert tried.stdout.split() == ["-1", str(errno.EPERM)]


@root
@only_root
def test_a_user_that_is_named_is_the_one_that_runs(tmp_path):
    refused = kernelsight("ingest", "--init-only", "--user", "no-such-user", "--db-path", tmp_path / "k.db")
    assert refused.returncode == 2
    assert "adduser --system" in refused.stderr


def test_permissions_can_be_named_and_must_be_some(tmp_path):
    done = kernelsight("ingest", "--init-only", "--mode", "0644", "--db-path", tmp_path / "k.db")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "k.db").stat().st_mode & 0o777 == 0o644
    for wrong in ("rw", "0888", "1777", "-1"):
        assert kernelsight("ingest", "--init-only", "--mode", wrong, "--db-path", tmp_path / "l.db").returncode == 2


@pytest.mark.parametrize("files", [8, 10, 11])
def test_a_limit_of_open_files_that_is_too_low_is_said(tmp_path, files):
    limited = ["/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *COMMAND, "ingest", "--db-path", tmp_path / "db"]
    done = subprocess.run(limited, input="", capture_output=True, text=True, check=False, env=environment())
    assert done.returncode in {0, 1}  # how many it needs depends on the machine
    assert done.returncode == 0 or done.stderr.startswith("kernelsight ingest: ")
    assert "Traceback" not in done.stderr


FENCED = """
import socket, subprocess, sys
from pathlib import Path
from kernelsight.collectors.privileges import keep_only
from kernelsight.surfaces.landlock import own_program, restrict
inside, outside = map(Path, sys.argv[1:3])
keep_only(())
restrict([inside], own_program() if len(sys.argv) > 3 else ())
(inside / "made").write_text("text")
(inside / "made").unlink()
assert (outside / "kept").read_text() == "kept"
def tried(action):
    try:
        action()
    except PermissionError:
        print("refused")
    else:
        print("done")
tried(lambda: (outside / "new").write_text(""))
tried(lambda: (outside / "kept").unlink())
tried(lambda: (outside / "kept").write_text(""))
tried(lambda: subprocess.run(["/bin/true"]))
tried(lambda: socket.create_connection(("127.0.0.1", 9), timeout=1))
writes = f"import pathlib; pathlib.Path({str(outside / 'new')!r}).write_text('')"
tried(lambda: print("status", subprocess.run([sys.executable, "-c", writes], capture_output=True).returncode))
"""


@pytest.mark.skipif(landlock.version() < 4, reason="this kernel's Landlock knows no files or no TCP")
@pytest.mark.parametrize(("given", "says"), [([], ["refused"]), (["python"], ["status", "1", "done"])])
def test_who_is_fenced_in_writes_nowhere_else_starts_nothing_and_connects_to_nobody(tmp_path, given, says):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "kept").write_text("kept")
    done = subprocess.run(
        [sys.executable, "-c", FENCED, str(inside), str(outside), *given],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * 5 + says
    assert (outside / "kept").read_text() == "kept"


@root
@only_root
def test_the_signal_at_the_parents_death_outlives_a_change_of_user(folder):
    script = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE);"
        "print(child.stdout.readline().decode().strip(), child.pid, flush=True); time.sleep(60)"
    )
    inner = (
        "import os, sys, time; from pathlib import Path; from kernelsight.parent_death import follow;"
        "from kernelsight.trusted_paths import as_owner_of; follow(int(sys.argv[1]), 15);\n"
        f"with as_owner_of(Path({str(folder)!r})): assert os.geteuid() == {OWNER}\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, inner], stdout=subprocess.PIPE, text=True) as parent:
        word, pid = parent.stdout.readline().split()
        assert word == "ready"
        parent.send_signal(signal.SIGKILL)
        until(lambda: not alive(int(pid)), "the end of the child")


def test_the_daemon_has_columnar_twins_made_within_its_fence(tmp_path):
    path = tmp_path / "k.db"
    program = str(Path(sys.executable).with_name("kernelsight"))
    began = time.time_ns() - 200_000 * 10**6
    lines = b"".join(b'{"type":"load","timestamp":%d}\n' % (began + number * 10**6) for number in range(100_500))
    with subprocess.Popen(
        [program, "ingest", "--db-path", str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as daemon:
        daemon.stdin.write(lines)
        daemon.stdin.flush()
        twins = path.with_name("k.db.twins")
        until(lambda: daemon.poll() is not None or [*twins.glob("load_metrics/*.parquet")], "a twin")
        _, said = daemon.communicate()
    assert daemon.returncode == 0, said
    assert [*twins.glob("load_metrics/*.parquet")], said
