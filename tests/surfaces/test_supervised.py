"""A part tells whose part it is, so that a diagnosis leaves all of us out."""

import json
import os
import signal
import subprocess
import sys

from kernelsight.surfaces.supervisor.part import child


def test_a_part_reports_the_pid_of_its_supervisor():
    command = child(["collect", "--duration", "1", "cpu"], on_death=signal.SIGTERM)
    told = subprocess.run(command, capture_output=True, check=True, timeout=30)
    reports = [line for line in map(json.loads, told.stdout.splitlines()) if line["type"] == "collector"]
    assert {report["supervisor_pid"] for report in reports} == {os.getpid()}


def test_who_is_started_by_itself_has_none(monkeypatch):
    monkeypatch.setenv("KERNELSIGHT_SUPERVISOR", "1")  # inherited from the part that started our parent
    command = [sys.executable, "-m", "kernelsight", "collect", "--duration", "1", "cpu"]
    told = subprocess.run(command, capture_output=True, check=True, timeout=30)
    reports = [line for line in map(json.loads, told.stdout.splitlines()) if line["type"] == "collector"]
    assert {report.get("supervisor_pid") for report in reports} == {None}
