"""`kernelsight agent` and `kernelsight policy` as a person types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment, kernelsight, running, until

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenes import SECOND, START, cpus, stored

from hostile import HOSTILE, harmless, storable
from kernelsight.agent.records import rows_of
from kernelsight.diagnosis.model import Bounds, Diagnosis, Entity, Finding
from kernelsight.events.action import ActionStep
from kernelsight.ingest.deliveries import deliver
from kernelsight.printable import printable
from kernelsight.stores.base import store
from kernelsight.surfaces.trace import lines

POLICY = 'mode = "approve"\n'


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    path.chmod(0o600)
    return path


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "300"])
    os.setpriority(os.PRIO_PROCESS, process.pid, 0)  # tests may run with less priority than is usual
    yield process
    process.kill()
    process.wait()


def agent(database, *arguments, **options):
    options = {"env": environment(XDG_STATE_HOME=str(Path(database).parent / "state")), **options}
    return kernelsight("agent", *arguments[:1], "--db-path", database, *arguments[1:], **options)


def history(database):
    said = agent(database, "history", "--format", "json")
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def nice(process):
    return os.getpriority(os.PRIO_PROCESS, process.pid)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_action_is_shown_first_and_done_when_told(tmp_path, policy, sleeper):
    database = tmp_path / "db"
    shown = agent(database, "do", "renice", sleeper.pid, "--set", "nice=7", "--policy", policy)
    assert f"nice of 1 threads of process {sleeper.pid}: 7 (now: 0)" in shown.stdout
    assert "nothing was written" in shown.stdout
    assert nice(sleeper) == 0
    assert not database.exists(), "a dry run leaves nothing behind"
    done = agent(database, "do", "renice", sleeper.pid, "--set", "nice=7", "--policy", policy, "--yes")
    assert done.returncode == 0, done.stderr
    assert nice(sleeper) == 7
    [row] = history(database)
    assert (row["kind"], row["what"], row["state"]) == ("action", f"renice of sleep ({sleeper.pid})", "done")
    told = agent(database, "show", row["id"]).stdout
    assert "begun" in told
    assert f"nice of 1 threads of process {sleeper.pid}: 7 (now: 0)" in told
    undone = agent(database, "undo", row["id"])
    assert undone.returncode == 0, undone.stderr
    assert nice(sleeper) == 0
    assert history(database)[0]["state"] == "undone"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_without_a_policy_nothing_is_done_and_the_refusal_is_recorded(tmp_path, sleeper):
    database = tmp_path / "db"
    said = agent(database, "do", "pause", sleeper.pid, "--yes")
    assert (said.returncode, said.stdout) == (1, "")
    assert "mode observe" in said.stderr
    assert "Traceback" not in said.stderr
    [row] = history(database)
    assert (row["state"], "mode observe" in row["why"]) == ("refused", True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_database_and_the_policy_may_be_named_before_the_command_or_after_it(tmp_path, policy, sleeper):
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    environ = environment(XDG_STATE_HOME=str(tmp_path), KERNELSIGHT_DB_PATH=str(second))
    do = ("do", "renice", sleeper.pid, "--set", "nice=7", "--yes")
    done = kernelsight("agent", "--db-path", first, "--policy", policy, *do, env=environ)
    assert done.returncode == 0, done.stderr
    assert nice(sleeper) == 7
    ask = ("history", "--format", "json")
    before = kernelsight("agent", "--db-path", first, *ask, env=environ)
    after = kernelsight("agent", "--db-path", second, *ask, "--db-path", first, env=environ)
    assert before.stdout == after.stdout
    assert "renice" in before.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("do", "renice", "1"), "first process"),
        (("do", "reboot", "1"), "there is no action 'reboot'"),
        (("do", "renice", "postgres"), "give a pid"),
        (("do", "renice", "999999999"), "is gone"),
        (("do", "pause", "/"), "not for a cgroup"),
        (("show", "none"), "nothing is recorded under 'none'"),
        (("undo", "none"), "there is no action 'none'"),
        (("approve", "none"), "there is no proposal 'none'"),
        (("decline", "none"), "there is no proposal 'none'"),
        (("do", "renice", "1", "--policy", "none.toml"), "none.toml"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, arguments, says):
    said = agent(tmp_path / "db", *arguments)
    assert said.returncode != 0
    assert says in said.stderr
    assert len(said.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in said.stderr


def test_the_actions_that_there_are_can_be_listed():
    said = kernelsight("agent", "actions", "--format", "json")
    names = [json.loads(line)["action"] for line in said.stdout.splitlines()]
    assert {"renice", "ionice", "limit_cpu", "pause", "terminate", "sysctl", "drop_caches"} <= set(names)
    assert names == sorted(names)


def test_the_agent_looks_once_and_ends(tmp_path):
    database = stored(tmp_path / "db", cpus(2))
    said = kernelsight("agent", "--once", "--db-path", database)
    assert (said.returncode, "nothing was recorded" in said.stderr) == (3, True)
    [row] = history(database)
    assert row["what"] == "not known"
    assert "nothing was recorded" in row["why"]


def test_the_agent_waits_for_a_database_and_ends_when_told(tmp_path):
    with running("agent", "--db-path", tmp_path / "db", "--interval", "1") as process:
        until(lambda: "no such database" in process.stderr.readline(), "it says what it waits for")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_the_example_of_a_policy_is_one(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(kernelsight("policy", "example").stdout)
    path.chmod(0o600)
    said = kernelsight("policy", "check", path, "--format", "json")
    rows = {row["action"]: row for row in map(json.loads, said.stdout.splitlines())}
    assert rows["renice"]["mode"] == "auto"
    assert rows["renice"]["now"] == "approve", "the mode of the whole bounds it"
    assert rows["sysctl"]["now"] == "propose"


def test_a_wrong_policy_is_named_with_its_line(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('mode = "auto"\n\n[rates]\nper_hours = 3\n')
    path.chmod(0o600)
    said = kernelsight("policy", "check", path)
    assert said.returncode == 2
    assert "policy.toml, line 4: rates.per_hours" in said.stderr


def test_hostile_names_change_nothing_but_their_own_display(tmp_path):
    records, names = [], [storable(name) for name in HOSTILE.values()]
    for number, name in enumerate(names):
        at = START + number * SECOND
        hogs = Finding("cpu_saturation", Entity("process", "70", name), (), at, 0.9, (), name, ())
        found = Diagnosis(Bounds(START, at), False, (hogs,))
        records += rows_of(found, f"d{number}")
        named = {"action": name, "target": "70", "target_name": name, "reason": name}
        records.append(ActionStep(at + 1, action_id=f"a{number}", stage="refused", **named))
    database = tmp_path / "db"
    store(str(database)).inbox.leave(records)
    assert deliver(str(database))
    listed = agent(database, "history", "--since", START)
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == 1 + len(records), "one line each"
    told = [line for number in range(len(names)) for one in ("a", "d") for line in lines_of(database, f"{one}{number}")]
    assert len(told) >= len(records)
    assert all(harmless(line) and "\n" not in line for line in (*told, *listed.stdout.splitlines()))
    assert [row["what"] for row in history_since(database)[::2]] == [f"cpu_saturation by {name} (70)" for name in names]


def lines_of(database, name):
    return [printable(line) for line in lines(str(database), name)]


def history_since(database):
    said = agent(database, "history", "--since", START, "--format", "json")
    return [json.loads(line) for line in said.stdout.split("\n") if line]
