"""The units of systemd: what systemd itself says of their hardening, and that each starts a command that exists."""

from __future__ import annotations

import configparser
import importlib
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from kernelsight.surfaces.cli.main import main

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
OPTIONAL = {"kernelsight-notify.service", "kernelsight-web.service"}
PRIVILEGED = {"kernelsight-collect.service"}


class _Repeated(dict):
    """Options that are given more than once keep all their values, as systemd reads them."""

    def __setitem__(self, key, value):
        if key in self and isinstance(value, list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def service(path):
    parser = configparser.RawConfigParser(strict=False, dict_type=_Repeated)
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_systemd_finds_little_exposed(path):
    most = 50 if path.name in PRIVILEGED else 30  # tenths
    ran = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_only_the_collectors_have_capabilities(path):
    options = service(path)
    if path.name in PRIVILEGED:
        assert options["DynamicUser"] == "yes"
        assert "CAP_SYS_ADMIN" not in options["CapabilityBoundingSet"]
        assert options["AmbientCapabilities"] == options["CapabilityBoundingSet"]
    else:
        assert options["User"] == "kernelsight"
        assert options["CapabilityBoundingSet"] == options["AmbientCapabilities"] == ""


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_each_starts_a_command_of_ours_and_has_a_watchdog(path):
    options = service(path)
    program, command, *_ = shlex.split(options["ExecStart"])
    assert program == "/usr/bin/kernelsight"
    assert main.get_command(None, command) is not None
    assert options["Restart"] == "always"
    if path.name != "kernelsight-web.service":  # its server has a loop of its own
        assert options["Type"] == "notify"
        assert int(options["WatchdogSec"]) >= 60


def test_the_target_wants_every_part_but_the_optional_ones():
    wanted = next(line for line in (UNITS / "kernelsight.target").read_text().splitlines() if line.startswith("Wants="))
    assert {*wanted.removeprefix("Wants=").split()} == {path.name for path in SERVICES} - OPTIONAL


def test_the_target_runs_the_parts_that_start_runs():
    start = importlib.import_module("kernelsight.surfaces.cli.start")
    parts = [*start._parts([], "db", 1.0, 1.0, []), start._agent("db", 1.0, None)]
    commands = {shlex.split(service(path)["ExecStart"])[1] for path in SERVICES if path.name not in OPTIONAL}
    assert commands == {part.arguments(None)[0] for part in parts}
