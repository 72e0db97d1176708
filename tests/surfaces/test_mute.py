"""A finding that somebody acknowledged wakes nobody, until it expires or changes."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from processes import kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import SECOND, stored

from kernelsight.agent.tool import Desk, call
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Entity, Evidence, Finding, Step
from kernelsight.diagnosis.muting import holding, matches, measured
from kernelsight.events.memory import Memory
from kernelsight.events.mute import Mute
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader
from kernelsight.surfaces.verdict import latest

LENGTH = 58


def busy(now):
    """Two hogs take the CPUs from a server, up to a moment."""
    for second in range(LENGTH):
        at = now - (LENGTH - second) * SECOND
        yield Memory(at, mem_total_kb=8_000_000)
        for cpu in (-1, 0, 1):
            yield Cpu(at, cpu=cpu, user=100 * second, system=0, idle=0)
        for pid, comm, ran, queued in ((70, "crunch", 900, 600), (71, "crunch", 880, 600), (12, "web", 100, 400)):
            yield SchedProcess(
                at, pid=pid, comm=comm, cpu_time_ms=ran, runqueue_ms=queued, cgroup_id=pid // 60, voluntary_switches=0,
                involuntary_switches=queued // 4,
            )  # fmt: skip


@pytest.fixture
def database(tmp_path):
    """The last minute, and the next one, so that a slow test finds the same as a fast one."""
    now = time.time_ns()
    return stored(tmp_path / "db", [*busy(now), *busy(now + LENGTH * SECOND)])


def run(database, *arguments):
    return kernelsight(*arguments, "--db-path", database)


def test_a_muted_finding_is_shown_but_is_none_until_it_is_unmuted(database):
    assert run(database, "diagnose").returncode == 1
    said = run(database, "mute", "cpu_saturation", "--reason", "nightly [bold]build", "--for", "8h")
    assert said.returncode == 0, said.stderr
    mute_id = said.stdout.partition(":")[0]

    shown, answer = run(database, "diagnose"), run(database, "diagnose", "--json")
    assert (shown.returncode, answer.returncode) == (0, 0)
    [line] = [line for line in shown.stdout.splitlines() if line.startswith("Muted")]
    assert "cpu saturation by crunch" in line
    assert "nightly [bold]build" in line
    found = json.loads(answer.stdout)
    assert (found["findings"], found["muted"][0]["reason"]) == ([], "nightly [bold]build")
    assert found["muted"][0]["finding"]["culprit"]["name"] == "crunch"

    now = time.time_ns()
    told = call(Desk(database, TimeRange(now - 60 * SECOND, now)), "diagnose", {})
    assert (told["findings"], told["muted"][0]["reason"]) == ([], "nightly [bold]build")

    muted = "but for what is muted: cpu saturation by crunch"
    once = run(database, "agent", "--once")
    assert (once.returncode, "cpu_saturation" in once.stderr) == (0, False)
    assert f"healthy, {muted}" in once.stderr
    [whole] = [line for line in shown.stdout.splitlines() if line.startswith("Healthy")]
    assert "Healthy, but for what is muted:" in whole
    [kept] = [json.loads(line) for line in run(database, "agent", "history", "--format", "json").stdout.splitlines()
              if '"diagnosis"' in line]  # fmt: skip
    assert (kept["what"], muted in kept["state"]) == ("healthy", True)
    assert muted in run(database, "agent", "show", kept["id"]).stdout.lower()
    with closing(open_reader(str(database))) as reader:
        panel = latest(reader, 0)
    assert (panel.answer, muted in panel.text) == ("healthy", True)
    for question in ("is anything wrong?", "which process used most cpu?"):
        answer = run(database, "ask", "--offline", "--since", "1m", question).stdout
        assert "cpu saturation by crunch" in answer, question
    assert (
        "finds nothing wrong in that time, but for what is muted"
        in run(database, "ask", "--offline", "--since", "1m", "is anything wrong?").stdout
    )
    [row] = map(json.loads, run(database, "mute", "--list", "--format", "json").stdout.splitlines())
    assert (row["id"], row["culprit"], bool(row["by"])) == (mute_id, "crunch", True)

    assert run(database, "unmute", mute_id, "--reason", "the build is over").returncode == 0
    assert run(database, "diagnose").returncode == 1
    trace = [json.loads(line) for line in run(database, "agent", "history", "--format", "json").stdout.splitlines()]
    stages = [row["state"].split()[0] for row in trace if row["kind"] == "mute"]
    assert stages == ["muted", "unmuted"], "who muted what stays in the trace"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mute", "memory_leak", "--reason", "x", "--for", "1h"), "nothing is found of memory_leak"),
        (("mute", "cpu_saturation", "--for", "1h"), "give a FAULT, --reason TEXT"),
        (("mute", "cpu_saturation", "--reason", "x", "--for", "0s"), "mutes nothing"),
        (("mute", "nonsense", "--reason", "x", "--for", "1h"), "nonsense"),
        (("unmute", "00000000"), "no mute '00000000' holds"),
    ],
)
def test_what_cannot_be_muted_is_said(database, arguments, says):
    done = run(database, *arguments)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_what_is_expected_of_a_culprit_can_be_muted_before_it_is_there(tmp_path):
    now = time.time_ns()
    database = stored(tmp_path / "db", [Memory(now, mem_total_kb=8_000_000)])
    done = run(database, "mute", "cpu_saturation", "--culprit", "crunch", "--reason", "a test", "--for", "1h")
    assert done.returncode == 0, done.stderr
    stored(tmp_path / "db", busy(now + LENGTH * SECOND))
    found = diagnose(database, now, now + LENGTH * SECOND)
    assert ([one.finding.culprit.name for one in found.muted], found.findings) == (["crunch"], ())


EVIDENCE = Evidence("sched_process_stats", 0, 60 * SECOND, "runqueue_ms", "sum", 6_000.0, (1,))
FOUND = Finding(
    fault="cpu_saturation", culprit=Entity("process", "70", "crunch"), victims=(), onset_ns=0, confidence=0.7,
    path=(Step("somebody waits", (EVIDENCE,)),), refuted_by="", actions=(),
)  # fmt: skip
MUTED = Mute(
    1000 * SECOND, mute_id="m", stage="muted", fault="cpu_saturation", culprit_kind="process", culprit="crunch",
    until_ns=2000 * SECOND, confidence=0.7, symptom=measured(FOUND)[0], magnitude=measured(FOUND)[1],
)  # fmt: skip


def changed(**what):
    return msgspec.structs.replace(FOUND, **what)


def worse(value):
    return changed(path=(Step("somebody waits", (msgspec.structs.replace(EVIDENCE, value=value),)),))


@pytest.mark.parametrize(
    ("finding", "holds"),
    [
        pytest.param(FOUND, True, id="the same"),
        pytest.param(changed(culprit=Entity("process", "99", "crunch")), True, id="started again"),
        pytest.param(changed(culprit=Entity("process", "70", "other")), False, id="another culprit"),
        pytest.param(changed(culprit=Entity("cgroup", "/crunch", "crunch")), False, id="another kind of culprit"),
        pytest.param(changed(fault="runqueue_contention"), False, id="another fault"),
        pytest.param(changed(confidence=0.9), True, id="a little surer"),
        pytest.param(changed(confidence=0.96), False, id="much surer"),
        pytest.param(worse(11_000.0), True, id="somewhat worse"),
        pytest.param(worse(13_000.0), False, id="more than twice as bad"),
    ],
)
def test_a_mute_is_about_one_finding_as_it_was(finding, holds):
    assert matches(MUTED, finding) is holds


def test_what_adds_up_is_compared_by_the_second():
    longer = msgspec.structs.replace(EVIDENCE, end_ns=600 * SECOND, value=60_000.0)
    assert matches(MUTED, changed(path=(Step("somebody waits", (longer,)),)))


@pytest.mark.parametrize(("second", "holds"), [(300, False), (500, True), (1500, True), (2000, True), (2001, False)])
def test_a_mute_holds_from_shortly_before_it_was_given_until_it_expires(second, holds):
    assert bool(holding([MUTED], second * SECOND)) is holds
    ended = msgspec.structs.replace(MUTED, stage="unmuted")
    assert holding([ended], second * SECOND) == []
