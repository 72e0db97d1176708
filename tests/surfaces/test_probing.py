"""Closer looks of a live diagnosis: with the real kernel, without the privileges, and when nobody wants one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from processes import kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import END, FROM, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.errors import UsageError
from kernelsight.events.collector import CollectorReport
from kernelsight.surfaces.probing import probed


def saturated(tmp_path, *events):
    hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, since=FROM)]
    return stored(tmp_path / "db", [*cpus(2), *hogs, *used(13, "api", 90, 300, group=2, since=FROM), *events])


def test_without_privileges_the_answer_says_which_look_it_wants_and_what_that_needs(tmp_path):
    reports = [
        CollectorReport(START + second * SECOND, name=name, status="unavailable", reason="run as root")
        for second in (0, 10)
        for name in ("stacks", "lock_waits")
    ]
    path = saturated(tmp_path, *reports)
    first = diagnose(path, START, END)
    answer = probed(path, first)
    (look,) = answer.probes
    assert (look.probe, look.refused, look.seconds) == ("profile", "run as root", 0.0)
    assert answer.findings == first.findings


def test_an_answer_that_leaves_nothing_open_is_given_as_it_is(tmp_path):
    path = stored(tmp_path / "db", [*cpus(2), *used(12, "web", 100, 1)])
    first = diagnose(path, START, END)
    assert probed(path, first) is first


def test_a_probe_that_there_is_not_is_refused(tmp_path):
    path = saturated(tmp_path)
    with pytest.raises(UsageError, match=r"no probe 'x'; there are faults, locks, profile"):
        probed(path, diagnose(path, START, END), ["x"])


@pytest.mark.parametrize("options", [("--probe", "locks"), ("--live", "3", "--no-probes", "--probe", "locks")])
def test_probes_go_with_live(options):
    said = kernelsight("diagnose", *options)
    assert said.returncode == 2
    assert "--probe goes with --live" in said.stderr


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_look_that_somebody_asks_for_is_taken_and_the_answer_is_of_the_whole_time():
    said = kernelsight("diagnose", "--live", "4", "--probe", "locks", "--json", timeout=200)
    answer = json.loads(said.stdout)
    (look,) = answer["probes"]
    assert (look["probe"], look["because"], look["refused"]) == ("locks", "somebody asked for it", "")
    assert look["seconds"] == 6
    assert answer["window"]["end_ns"] - answer["window"]["start_ns"] >= 8 * SECOND
