"""What was written down stays as it was, or is found not to be; and a proposal is decided once, whatever is removed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_processes import asked, executor, finding, root, sleeper, stages

from kernelsight.agent.acting.audit import Ledger
from kernelsight.agent.acting.executor import Executor, recorded
from kernelsight.agent.acting.proof import Judge, audit
from kernelsight.agent.acting.seal import Seal
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.errors import StoreError
from kernelsight.stores.base import store
from kernelsight.surfaces.cli.agent import agent
from kernelsight.surfaces.mcp.resources import read

pytestmark = [pytest.mark.root, root]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An action that was done: its folder, with a copy of the database as it was then."""
    folder = tmp_path_factory.mktemp("finished")
    with sleeper() as process:
        one = executor(folder)
        step = one.act(one.propose(asked("renice", process, nice=7)), approved=True)
        one.ledger.deliver()
        shutil.copy(folder / "db", folder / "as it was")
        yield folder, step.action_id


@pytest.fixture
def untouched(finished):
    """The same for each test: the executor, and the name of the action."""
    folder, name = finished
    for path in folder.glob("db-*"):
        path.unlink()
    shutil.copy(folder / "as it was", folder / "db")
    return executor(folder), name


@pytest.fixture
def done(tmp_path):
    """An action that was done, for a test that goes on with it: the executor, the name of the action, the process."""
    with sleeper() as process:
        one = executor(tmp_path)
        step = one.act(one.propose(asked("renice", process, nice=7)), approved=True)
        one.ledger.deliver()
        yield one, step.action_id, process


def sql(one, statement, *values):
    """What anybody does who can write to the file."""
    path = Path(one.ledger.db_path)
    with sqlite3.connect(path) as connection:
        [(segment,)] = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'actions%' ORDER BY name LIMIT 1"
        ).fetchall()
        count = connection.execute(statement.format(table=segment), values).rowcount
    connection.close()
    assert count != 0
    return count


def by_itself(process):
    """What the loop asks for, as a finding proposes it."""
    request = asked("renice", process, by="loop")
    return replace(request, finding=finding(request.target, "renice"))


def flaws(one):
    found = audit(one.ledger)
    return found.answer, [(flaw.what, flaw.first, flaw.last) for flaw in found.flaws]


def test_an_untouched_record_is_proven_also_when_the_inbox_stored_it_twice(untouched):
    one, name = untouched
    assert flaws(one) == ("ok", [])
    store(one.ledger.db_path).inbox.leave(one.ledger.steps_of(name))
    assert flaws(one) == ("ok", [])
    one.ledger.deliver()
    assert flaws(one) == ("ok", [])
    assert audit(one.ledger).proven == 4


FORGED = (
    "INSERT INTO {table} (timestamp, action_id, stage, action, chain, sequence, seal, changes)"
    " SELECT timestamp + 1, 'cafe', ?, 'kill', chain, sequence, ?, 'junk' FROM {table} WHERE stage = 'done'"
)


@pytest.mark.parametrize(
    ("statement", "values", "wrong"),
    [
        ("UPDATE {table} SET reason = 'it was ordered' WHERE stage = 'begun'", (), [("changed", 3, 3)]),
        ("UPDATE {table} SET timestamp = timestamp + 1 WHERE stage = 'done'", (), [("changed", 4, 4)]),
        ("UPDATE {table} SET sequence = 5 - sequence WHERE stage IN ('approved', 'begun')", (), None),
        ("DELETE FROM {table} WHERE stage = 'approved'", (), [("missing", 2, 2)]),
        ("DELETE FROM {table} WHERE stage IN ('begun', 'done')", (), [("missing", 3, 4)]),
        ("DELETE FROM {table}", (), [("missing", 1, 4)]),
        ("UPDATE {table} SET seal = NULL WHERE stage = 'done'", (), [("unsealed", 4, 4), ("missing", 4, 4)]),
        (FORGED, ("done", None), [("unsealed", 4, 4)]),
        (FORGED, ("done", "0" * 64), [("changed", 4, 4)]),
        (FORGED, ("a stage that there is not", "0" * 64), [("unsealed", 4, 4)]),
    ],
)
def test_what_plain_sql_changes_forges_or_removes_is_named(untouched, statement, values, wrong):
    one, _ = untouched
    sql(one, statement, *values)
    answer, found = flaws(one)
    assert answer == "broken"
    assert found == wrong if wrong is not None else {what for what, _, _ in found} == {"changed"}


def test_removed_rows_let_nobody_approve_a_second_time(tmp_path, done):
    one, name, process = done
    os.setpriority(os.PRIO_PROCESS, process.pid, 0)
    sql(one, "DELETE FROM {table} WHERE stage <> 'proposed'")
    [proposal] = one.ledger.told(0, action_id=name)
    for other in (one, executor(tmp_path)):
        with pytest.raises(RefusedError, match="decided already"):
            other.act(recorded(proposal, other), approved=True)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 0
    # What was begun is still known, and can be undone once.
    assert stages(one)[-1] != "proposed"
    assert one.ledger.steps_of(name)[-1].stage != "proposed"


def test_what_was_undone_is_not_undone_again_when_its_row_is_removed(done):
    one, name, process = done
    one.undo(name, "test")
    one.ledger.deliver()
    os.setpriority(os.PRIO_PROCESS, process.pid, 7)  # somebody's own wish by now
    sql(one, "DELETE FROM {table} WHERE stage = 'undone'")
    with pytest.raises(RefusedError, match="undone already"):
        one.undo(name, "test")
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 7


def test_removed_rows_do_not_free_what_the_policy_counts(tmp_path):
    with sleeper() as process, sleeper() as second:
        one = executor(tmp_path, 'mode = "auto"\n[rates]\nper_hour = 1\n[actions.renice]\nmode = "auto"\n')
        one.act(one.propose(by_itself(process)), approved=True)
        one.ledger.deliver()
        sql(one, "DELETE FROM {table}")
        assert stages(one) == ["begun", "done"]
        judgement = one.propose(by_itself(second)).judgement
        assert "1 actions were taken within the last hour" in judgement.why_not_auto


def test_a_declined_proposal_stays_declined(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("renice", process))
        one.decline(proposed.step, "no")
        one.ledger.deliver()
        sql(one, "DELETE FROM {table} WHERE stage = 'declined'")
        with pytest.raises(RefusedError, match="decided already"):
            one.act(proposed, approved=True)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 0


def test_four_who_approve_while_rows_vanish_act_once(tmp_path):
    """Without the lock of the database, which who can write beside it may remove."""
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("renice", process))
        outcomes = []

        def approve():
            other = executor(tmp_path)
            for path in store(other.ledger.db_path).inbox.waiting():
                path.unlink(missing_ok=True)
            try:
                outcomes.append(other._act(proposed, approved=True).stage)
            except RefusedError as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=approve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done", *["it was decided already"] * 3]


def test_after_a_crash_before_the_deed_it_is_told_and_not_repeated(tmp_path, monkeypatch):
    """The writer ends after the decision is on disk, before the database has it."""
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("renice", process))
        keep = Ledger._keep

        def ends(ledger, events):
            if any(getattr(event, "stage", None) == "begun" for event in events):
                raise KeyboardInterrupt
            keep(ledger, events)

        monkeypatch.setattr(Ledger, "_keep", ends)
        with pytest.raises(KeyboardInterrupt):
            one.act(proposed, approved=True)
        monkeypatch.undo()
        found = audit(one.ledger)
        assert (found.answer, found.pending) == ("ok", 1)
        assert stages(one)[-1] == "begun"
        later = executor(tmp_path)
        with pytest.raises(RefusedError, match="decided already"):
            later.act(proposed, approved=True)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 0
        assert later.undo(proposed.step.action_id, "a crash").stage == "undone"
        later.ledger.deliver()
        found = audit(later.ledger)
        assert (found.answer, found.pending, found.flaws) == ("ok", 0, ())


def test_a_copy_is_not_known_to_another_user_and_not_approved_there(tmp_path, finished, untouched):
    one, name = untouched
    copy = tmp_path / "copy"
    shutil.copy(one.ledger.db_path, copy)
    elsewhere = Ledger(str(copy), seal=Seal(tmp_path / "another"))
    found = audit(elsewhere)
    assert (found.answer, found.proven, {flaw.what for flaw in found.flaws}) == ("unknown", 0, {"no_key"})
    assert not (tmp_path / "another").exists()
    # The same user's copy is proven, and what was decided stays decided.
    own = Ledger(str(copy), seal=Seal(finished[0] / "state"))
    assert audit(own).answer == "ok"
    [proposal] = [step for step in own.told(0, action_id=name) if step.stage == "proposed"]
    second = Executor(one.host, one.policy, own)
    os.setpriority(os.PRIO_PROCESS, int(proposal.target), 0)
    with pytest.raises(RefusedError, match="decided already"):
        second.act(recorded(proposal, second), approved=True)
    # Who has acted there has a key, and cannot judge the steps of another.
    elsewhere.write(one.ledger.steps_of(name)[0])
    assert {flaw.what for flaw in audit(elsewhere).flaws} == {"not_ours"}
    assert audit(elsewhere).answer == "unknown"


def test_a_database_removed_on_purpose_is_missing_until_the_chain_begins_anew(done, tmp_path):
    one, _, process = done
    for path in tmp_path.glob("db*"):
        if path.is_file():
            path.unlink()
    assert flaws(one) == ("broken", [("missing", 1, 4)])
    assert one.ledger.chain.start_anew().sequence == 4
    assert flaws(one) == ("ok", [])
    one.propose(asked("renice", process, nice=9))
    assert flaws(one) == ("ok", [])
    assert audit(one.ledger).proven == 1


def test_a_head_that_is_gone_or_set_back_is_no_proof(done, tmp_path):
    one, name, _ = done
    [head] = (tmp_path / "state" / "audit").glob("*.head")
    earlier = head.read_bytes()
    one.undo(name, "test")
    head.write_bytes(earlier)
    assert flaws(one) == ("broken", [("out_of_place", 5, 5)])
    head.unlink()
    assert flaws(one) == ("unknown", [("no_head", None, None)])


def test_what_others_can_enter_or_read_is_no_state(done, tmp_path):
    one, name, _ = done
    folder = tmp_path / "state" / "audit"
    assert {path.stat().st_mode & 0o777 for path in (folder.parent, folder, folder / "decided")} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    folder.chmod(0o755)
    with pytest.raises(StoreError, match="others can enter"):
        one.undo(name, "test")


def test_each_mark_says_what_is_known(untouched):
    one, _ = untouched
    sql(one, "UPDATE {table} SET reason = 'x' WHERE stage = 'begun'")
    sql(one, "UPDATE {table} SET chain = 'another' WHERE stage = 'done'")
    judge = Judge(one.ledger)
    assert [(step.stage, judge.mark(step)) for step in one.ledger.told()] == [
        ("proposed", None),
        ("approved", None),
        ("begun", "CHANGED: not as this user sealed it"),
        ("done", "unproven: not sealed by this user"),
    ]


@pytest.fixture
def typed(untouched, finished, tmp_path, monkeypatch):
    """The same record as commands see it, whose key stands in the folder of the user's state."""
    folder, _ = finished
    shutil.copytree(folder / "state", tmp_path / "kernelsight")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, name = untouched

    def run(*words):
        return CliRunner().invoke(agent, [*words[:-1], "--db-path", one.ledger.db_path, *words[-1:]])

    return one, name, run


def test_the_command_says_what_is_proven_and_ends_with_the_verdict(typed, tmp_path, monkeypatch):
    one, name, run = typed
    said = run("audit", "verify", "--json")
    assert (said.exit_code, json.loads(said.stdout or "{}").get("answer")) == (0, "ok"), said.output
    sql(one, "UPDATE {table} SET reason = 'it was ordered' WHERE stage = 'begun'")
    sql(one, "DELETE FROM {table} WHERE stage = 'approved'")
    said = CliRunner().invoke(agent, ["audit", "verify", "--db-path", one.ledger.db_path])
    assert said.exit_code == 1
    assert said.stdout.startswith("BROKEN")
    assert f"begun of renice sleep ({name}): CHANGED" in said.stdout
    assert "step 2 is missing" in said.stdout
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of another user"))
    said = run("audit", "verify", "--json")
    found = json.loads(said.stdout)
    assert (said.exit_code, found["answer"], {flaw["what"] for flaw in found["flaws"]}) == (3, "unknown", {"no_key"})
    Path(one.ledger.db_path).write_bytes(b"no database " * 100)
    assert run("audit", "verify", "--json").exit_code == 3


def test_history_show_and_the_resources_mark_what_is_not_proven(typed):
    one, name, run = typed
    unmarked = [run("show", name).stdout, *(text for _, text in resources(one, name))]
    assert not any(mark in text for text in unmarked for mark in ("CHANGED", "proven", "PROVEN", "MISSING"))
    sql(one, "UPDATE {table} SET reason = 'it was ordered' WHERE stage = 'approved'")
    sql(one, "DELETE FROM {table} WHERE stage = 'done'")
    sql(
        one,
        "INSERT INTO {table} (timestamp, action_id, stage, action, changes, before)"
        " SELECT timestamp + 1, 'cafe', 'no stage', 'kill', 'junk', 'many' FROM {table} WHERE stage = 'begun'",
    )
    rows = {row["id"]: row for row in map(json.loads, run("history", "--format=json").stdout.splitlines())}
    assert rows[name]["proof"] == "CHANGED: not as this user sealed it; MISSING from the database"
    assert rows["cafe"]["proof"] == "UNPROVEN: sealed by nobody"
    shown = run("show", name).stdout
    assert "approved [CHANGED: not as this user sealed it]: it was ordered" in shown
    assert "done [MISSING from the database]" in shown
    forged = run("show", "cafe")
    assert forged.exit_code == 0
    assert "no stage [UNPROVEN: sealed by nobody]" in forged.stdout
    recent, record = (text for _, text in resources(one, name))
    assert "UNPROVEN: sealed by nobody" in recent
    assert record == shown.rstrip("\n")


def resources(one, name):
    """What an assistant can read of it."""
    uris = ("kernelsight://diagnoses/recent", f"kernelsight://records/{name}")
    return [read(one.ledger.db_path, uri) for uri in uris]
