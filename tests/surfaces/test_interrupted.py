"""Ctrl-C ends a command without a word, from the moment it starts, as the signal that it is."""

from __future__ import annotations

import signal
import subprocess
import sys

from processes import PATIENCE_S, children, environment, until


def heeding():
    """In the child: SIGINT as a terminal gives it, also where the tests run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


PROGRAM = [sys.executable, "-m", "kernelsight"]


def test_while_the_program_is_loaded():
    command = [sys.executable, "-X", "importtime", "-m", "kernelsight", "ingest", "--db-path", "never-made.db"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding,  # noqa: PLW1509 - no threads here
    ) as process:
        said = []
        while "click." not in (said or [""])[-1]:
            said.append(process.stderr.readline())
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
        said += process.stderr.read().splitlines()
    assert process.returncode == -signal.SIGINT
    assert [line for line in said if not line.startswith("import time:")] == []


def test_while_a_command_runs_which_takes_its_children_along(tmp_path):
    command = [*PROGRAM, "diagnose", "--live", "60"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(tmp_path)),
        preexec_fn=heeding,  # noqa: PLW1509 - no threads here
    ) as process:
        until(lambda: len(children(process.pid)) == 2, "collectors and daemon")
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, printed, said) == (-signal.SIGINT, "", "")
    assert list(tmp_path.iterdir()) == []


def test_where_it_is_ignored_it_stays_ignored():
    script = 'trap "" INT; "$@" & pid=$!; kill -INT $pid; wait $pid'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *PROGRAM, "version"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("kernelsight ")
