"""`kernelsight anomalies` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from machine import START

sys.path.append(str(Path(__file__).parents[1] / "surfaces"))
from processes import kernelsight

SINCE = ("--since", str(START), "--until", str(START + 1500 * 10**9))


def test_detect_prints_one_row_an_incident(troubled):
    done = kernelsight("anomalies", "detect", "--db-path", troubled, *SINCE, "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["count"] == 3
    assert row["kind"] == "spike up"


def test_detect_prints_each_anomaly_when_asked(troubled):
    done = kernelsight("anomalies", "detect", "--db-path", troubled, *SINCE, "--all", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + 3


def test_events_go_through_the_daemon_and_are_listed(troubled, tmp_path):
    events = kernelsight("anomalies", "detect", "--db-path", troubled, *SINCE, "--events")
    assert events.returncode == 0, events.stderr
    assert {json.loads(line)["type"] for line in events.stdout.splitlines()} == {"anomaly"}
    path = tmp_path / "k.db"
    assert kernelsight("ingest", "--db-path", path, input=events.stdout).returncode == 0
    listed = kernelsight("anomalies", "list", "--db-path", path, *SINCE, "--format", "json")
    (row,) = map(json.loads, listed.stdout.splitlines())
    assert row["count"] == 3


def test_a_range_in_which_nothing_was_odd_is_said_so(quiet):
    done = kernelsight("anomalies", "detect", "--db-path", quiet, *SINCE)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing unusual" in done.stderr
    done = kernelsight("anomalies", "list", "--db-path", quiet, *SINCE)
    assert "no anomalies stored" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("detect", "--db-path", "/nonexistent/k.db"), 1, "no such database"),
        (("list", "--db-path", "/nonexistent/k.db"), 1, "no such database"),
        (("detect", "--since", "yesterdayish"), 2, "is not a time"),
        (("detect", "--threshold", "0"), 2, "threshold"),
    ],
)
def test_failures_are_one_line(arguments, code, said):
    done = kernelsight("anomalies", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_collecting_ingesting_and_the_help_do_not_import_numpy():
    program = (
        "import sys, kernelsight.surfaces.cli.collect, kernelsight.surfaces.cli.ingest\n"
        "import kernelsight.surfaces.cli.start, kernelsight.surfaces.cli.anomalies, kernelsight.events.wire as wire\n"
        "wire.kinds(); print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
