"""A step is on disk before the deed, what was shown is what is done, and anybody can put it back."""

from __future__ import annotations

import os
import threading
import time

import pytest
from own_processes import HOST, asked, executor, group, needs_v1, root, sleeper, stages, state, until

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.executor import PROPOSAL_LIFE_S, recorded
from kernelsight.agent.acting.subject import RefusedError, look
from kernelsight.errors import StoreError
from kernelsight.query import rows

pytestmark = [pytest.mark.root, root]


def test_another_process_can_approve_and_undo_by_the_record_alone(tmp_path):
    with sleeper() as process:
        executor(tmp_path).propose(asked("renice", process, by="person", nice=7))
        second = executor(tmp_path, 'mode = "approve"')
        [step] = second.ledger.steps()
        second.act(recorded(step, second), approved=True)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 7
        third = executor(tmp_path, "")
        third.undo(step.action_id, "test")
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 0
        third.ledger.deliver()
        found = rows(str(tmp_path / "db"), "actions", "1h")
        assert [row["stage"] for row in found] == ["proposed", "approved", "begun", "done", "undone"]
        assert all(row["changes"] == found[0]["changes"] for row in found)


def test_what_cannot_be_written_down_is_not_done(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("pause", process))
        write = one.ledger.write
        (tmp_path / "db.inbox").rename(tmp_path / "aside")
        (tmp_path / "db.inbox").write_text("in the way")
        with pytest.raises(StoreError, match="no file can be left"):
            one.act(proposed, approved=True)
        assert state(process.pid) == "S"
        assert write == one.ledger.write


def test_begun_is_on_disk_before_anything_is_written(tmp_path):
    """The very change looks: it finds its announcement."""
    seen = []

    class Looks(change.SendSignal, frozen=True, tag="looks"):
        def apply(self, host):
            seen.extend(stages(executor(tmp_path)))
            super().apply(host)

    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("pause", process))
        [planned] = proposed.plan.changes
        looks = Looks(planned.pid, planned.start_ticks, planned.signal, planned.undone_by)
        object.__setattr__(proposed.plan, "changes", (looks,))
        one.act(proposed, approved=True)
    assert seen == ["proposed", "approved", "begun"]


def test_a_proposal_is_not_done_when_it_is_old_or_was_decided(tmp_path):
    with sleeper() as process:
        now = [time.time_ns()]
        one = executor(tmp_path, clock=lambda: now[0])
        proposed = one.propose(asked("pause", process))
        now[0] += int((PROPOSAL_LIFE_S + 1) * 1e9)
        with pytest.raises(RefusedError, match="minutes ago"):
            one.act(proposed, approved=True)
        ahead = one.propose(asked("pause", process))
        now[0] -= int(3600e9)
        with pytest.raises(RefusedError, match="the clock was set back"):
            one.act(ahead, approved=True)
        declined = one.propose(asked("pause", process))
        one.decline(declined.step, "no")
        with pytest.raises(RefusedError, match="decided already"):
            one.act(declined, approved=True)
        assert state(process.pid) == "S"


def test_of_two_who_approve_at_once_one_finds_it_decided(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("renice", process))
        outcomes = []

        def approve():
            try:
                outcomes.append(executor(tmp_path).act(proposed, approved=True).stage)
            except RefusedError as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=approve) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done"] + ["it was decided already"] * 3


def test_a_policy_that_changed_since_holds_at_the_moment_of_the_deed(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        proposed = one.propose(asked("pause", process))
        stricter = executor(tmp_path, 'mode = "auto"\n[protect]\nnames = ["sleep"]')
        with pytest.raises(RefusedError, match="protected"):
            stricter.act(proposed, approved=True)
        observer = executor(tmp_path, 'mode = "propose"')
        with pytest.raises(RefusedError):
            observer.act(observer.propose(asked("pause", process)), approved=True)
        assert state(process.pid) == "S"


@needs_v1
def test_what_fails_half_way_is_undone(tmp_path):
    with group("cpu") as (path, folder), sleeper() as process:
        (folder / "cgroup.procs").write_text(str(process.pid))
        one = executor(tmp_path)
        proposed = one.propose(asked("limit_cpu", process))
        # The last of the writes cannot succeed: the group that it is moved to is not the one that was made.
        *first, last = proposed.plan.changes
        broken = change.MoveProcess(last.pid, last.start_ticks, last.former, f"{last.path}-not-there")
        object.__setattr__(proposed.plan, "changes", (*first, broken))
        with pytest.raises(RefusedError, match="what was done was undone"):
            one.act(proposed, approved=True)
        assert stages(one)[-1] == "failed"
        assert not (folder / f"kernelsight-{process.pid}").exists()
        assert look(HOST, process.pid).group("cpu") == path


@needs_v1
def test_somebody_else_who_changes_it_meanwhile_wins(tmp_path):
    with group("cpu") as (path, folder):
        one = executor(tmp_path)
        proposed = one.propose(asked("limit_cpu", path))
        (folder / "cpu.cfs_quota_us").write_text("50000")
        with pytest.raises(RefusedError, match=r"already|somebody has changed it"):
            one.act(proposed, approved=True)
        assert (folder / "cpu.cfs_quota_us").read_text().strip() == "50000"


def test_undoing_what_ended_is_nothing_to_worry_about(tmp_path):
    with sleeper() as process:
        one = executor(tmp_path)
        step = one.act(one.propose(asked("pause", process)), approved=True)
        until(lambda: state(process.pid) == "T", "stopped")
        process.kill()
        process.wait()
        assert one.undo(step.action_id, "test").stage == "undone"
        with pytest.raises(RefusedError, match="undone already"):
            one.undo(step.action_id, "test")


def test_what_does_not_exist_is_said(tmp_path):
    one = executor(tmp_path)
    with pytest.raises(RefusedError, match="no action 'none'"):
        one.undo("none", "test")
    with sleeper() as process:
        with pytest.raises(RefusedError, match="no action 'reboot'"):
            one.propose(asked("reboot", process))
        with pytest.raises(RefusedError, match="unknown field"):
            one.propose(asked("renice", process, nicer=3))
        with pytest.raises(RefusedError, match="not for a cgroup"):
            one.propose(asked("renice", "/"))
