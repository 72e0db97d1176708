"""What others put into the database is shown, and nothing is done or undone because of it."""

from __future__ import annotations

import pwd
import subprocess
import sys
import time

import pytest
from own_processes import asked, executor, root, sleeper, stages

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.audit import new_id
from kernelsight.agent.acting.executor import recorded
from kernelsight.agent.acting.seal import Seal
from kernelsight.agent.acting.subject import RefusedError
from kernelsight.agent.life_cycle import LifeCycle
from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep
from kernelsight.stores.base import store


@pytest.fixture
def target(tmp_path):
    """A file that somebody would like to have written to by who may do it."""
    path = tmp_path / "target"
    path.write_text("as it was")
    return path


def forged(target, stage, seal=None):
    put_back = change.SetFile(path=str(target), former="as the forger wants it", value="as it was")
    return ActionStep(
        time.time_ns() - 3600 * 10**9,
        action_id=new_id(),
        stage=stage,
        action="sysctl",
        target_kind="machine",
        target="machine",
        asked_by="loop",
        changes=change.encode([put_back]),
        seal=seal,
    )


@pytest.mark.parametrize("seal", [None, "", "0" * 64, "ß"])
def test_a_forged_step_is_shown_and_never_acted_upon(tmp_path, target, seal):
    one = executor(tmp_path)
    steps = [forged(target, stage, seal) for stage in ("begun", "done", "proposed", "verified")]
    store(one.ledger.db_path).inbox.leave(steps)
    one.ledger.deliver()
    tending = LifeCycle(one, lambda _: None)
    tending.tend()
    tending.finish()
    for step in steps:
        with pytest.raises(RefusedError, match="no action"):
            one.undo(step.action_id, "test")
    assert target.read_text() == "as it was"
    assert one.ledger.steps() == []
    assert len(one.ledger.told()) == len(steps)


@pytest.mark.root
@root
def test_a_step_that_was_changed_on_its_way_is_not_ours_any_more(tmp_path, target):
    with sleeper() as process:
        one = executor(tmp_path)
        step = one.propose(asked("renice", process)).step
        [ours] = one.ledger.steps()
        assert recorded(ours, one).plan.changes
        ours.changes = forged(target, "begun").changes
        ours.timestamp += 1
        store(one.ledger.db_path).inbox.leave([ours])
        assert [known.changes for known in one.ledger.steps()] == [step.changes]


@pytest.mark.root
@root
def test_steps_come_back_from_the_store_as_ours(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        one.act(one.propose(asked("renice", process)), approved=True)
        before = stages(one)
        one.ledger.deliver()
        assert stages(one) == before == ["proposed", "approved", "begun", "done"]


def test_a_key_that_others_can_read_is_refused(tmp_path):
    seal = Seal(tmp_path)
    seal.sealed(ActionStep(time.time_ns()))
    path = tmp_path / "actions.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(StoreError, match="others can read"):
        Seal(tmp_path).sealed(ActionStep(time.time_ns()))


@pytest.mark.root
@root
def test_a_user_without_a_home_directory_is_told_what_to_set():
    uid = max(user.pw_uid for user in pwd.getpwall()) // 2
    while uid in {user.pw_uid for user in pwd.getpwall()}:
        uid += 1
    program = f"import os; from kernelsight.agent.acting.seal import Seal; os.setuid({uid}); Seal()"
    done = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "StoreError: uid" in done.stderr
    assert "set HOME or XDG_STATE_HOME" in done.stderr


def test_a_key_is_made_once_and_found_again(tmp_path):
    step, folder = ActionStep(time.time_ns()), tmp_path / "state"
    first = Seal(folder).sealed(step)
    assert Seal(folder).holds(first)
    assert not Seal(tmp_path / "another").holds(first)
    assert [entry.name for entry in folder.iterdir()] == ["actions.key"]
    assert folder.stat().st_mode & 0o077 == 0
