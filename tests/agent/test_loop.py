"""The loop from the finding to the verdict: real processes are acted on, what the telemetry says of them is made up."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec
import pytest
from own_processes import HOST, executor, root, sleeper, state, until

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from server import KEY, answers, calls, serving

from kernelsight.agent.acting.action import Request
from kernelsight.agent.acting.audit import by_action
from kernelsight.agent.acting.policy_file import parse
from kernelsight.agent.acting.subject import look
from kernelsight.agent.loop import Loop
from kernelsight.agent.reasoner import reasoner
from kernelsight.agent.sanitising import moment
from kernelsight.agent.wake import Wake
from kernelsight.diagnosis.model import Entity
from kernelsight.events.mute import Mute
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.query import rows
from kernelsight.stores.base import Batch, open_writer

pytestmark = [pytest.mark.root, root]
SECOND = 1_000_000_000
AUTO = """
mode = "auto"
[verification]
settle_s = 2
observe_s = 10
keep_s = 60
[actions.renice]
mode = "auto"
[actions.limit_cpu]
mode = "propose"
"""


class Machine:
    """A store in which somebody waits for a CPU that a real process takes, as long as we say so; and its clock."""

    def __init__(self, folder, hog):
        self.path = str(folder / "db")
        self.hog = hog
        self.now = time.time_ns() - 58 * SECOND  # so that the process began before it was last seen
        self.said = []

    def passes(self, seconds, waited_ms):
        """Time goes by, in which a server waits for so long in each second."""
        batch = Batch()
        hog = look(HOST, self.hog)
        for _ in range(seconds):
            self.now += SECOND
            ran = 950 if waited_ms else 300
            for event in (
                Cpu(self.now, cpu=-1, user=1, system=1, idle=1),
                Cpu(self.now, cpu=0, user=1, system=1, idle=1),
                SchedProcess(self.now, pid=hog.pid, comm=hog.comm, cpu_time_ms=ran, runqueue_ms=20.0, cgroup_id=7),
                SchedProcess(self.now, pid=9_999_999, comm="web", cpu_time_ms=50, runqueue_ms=waited_ms, cgroup_id=8),
                Process(self.now, pid=hog.pid, comm=hog.comm, start_ticks=hog.start_ticks, utime_ms=ran, cgroup="/"),
            ):
                batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
        writer = open_writer(self.path)
        assert not writer.write(batch)
        writer.close()

    def agent(self, folder, policy=AUTO, approve=lambda _: None, heard=None):
        one = executor(folder, policy, lambda: self.now)
        return one, Loop(one, self.said.append, approve, heard and reasoner(heard, self.path))


@pytest.fixture
def machine(tmp_path):
    """Somebody suffers since half a minute."""
    with sleeper() as process:
        machine = Machine(tmp_path, process.pid)
        machine.passes(30, 0.0)
        machine.passes(30, 600.0)
        yield machine


def table(machine, name):
    return rows(machine.path, name, 0, machine.now + 3600 * SECOND)


def nice(machine):
    return os.getpriority(os.PRIO_PROCESS, machine.hog)


def test_what_it_did_before_the_clock_was_set_back_is_undone_as_nobody_can_compare(machine, tmp_path):
    one, loop = machine.agent(tmp_path)
    loop.step()
    assert nice(machine) == 10
    machine.now -= 3600 * SECOND
    loop.step()
    assert nice(machine) == 0
    [verified] = [step for step in one.ledger.steps() if step.stage == "verified"]
    assert (verified.verdict, verified.reason) == ("unknown", "the clock was set back since it was done")


def test_it_acts_and_keeps_what_helped_for_a_while(machine, tmp_path):
    one, loop = machine.agent(tmp_path)
    assert loop.step()
    assert nice(machine) == 10
    machine.passes(15, 0.0)
    loop.step()
    steps = one.ledger.steps()
    assert [step.stage for step in steps] == ["proposed", "begun", "done", "verified"]
    verified = steps[-1]
    assert (verified.verdict, verified.after) == ("better", 0.0)
    assert verified.before > 100
    assert "runqueue" in verified.symptom
    assert nice(machine) == 10
    machine.passes(60, 0.0)
    loop.step()
    assert nice(machine) == 0
    assert one.ledger.steps()[-1].stage == "undone"


@pytest.mark.parametrize(("waits", "verdict"), [(600.0, "same"), (850.0, "worse")])
def test_it_takes_back_what_did_not_help(machine, tmp_path, waits, verdict):
    one, loop = machine.agent(tmp_path)
    loop.step()
    assert nice(machine) == 10
    machine.passes(15, waits)
    loop.step()
    assert nice(machine) == 0
    assert [(step.stage, step.verdict) for step in one.ledger.steps()][3:5] == [
        ("verified", verdict),
        ("undone", verdict),
    ]
    machine.passes(15, waits)
    loop.step()
    assert nice(machine) == 0, "it is not tried again at once"


def test_without_telemetry_of_the_time_after_it_nothing_is_kept(machine, tmp_path):
    one, loop = machine.agent(tmp_path)
    loop.step()
    machine.now += 100 * SECOND
    loop.step()
    assert nice(machine) == 0
    assert one.ledger.steps()[-1].verdict == "unknown"


def test_what_is_not_verified_when_it_ends_is_undone(machine, tmp_path):
    one, loop = machine.agent(tmp_path)
    reading, writing = os.pipe()
    os.close(writing)
    with Wake(HOST, machine.path, reading) as wake:
        loop.run(wake, 60.0)
    os.close(reading)
    assert nice(machine) == 0
    assert [step.stage for step in one.ledger.steps()] == ["proposed", "begun", "done", "undone"]
    assert [row["stage"] for row in table(machine, "actions")] == ["proposed", "begun", "done", "undone"]


def test_what_a_person_asked_for_is_theirs_to_undo(machine, tmp_path):
    one, loop = machine.agent(tmp_path, 'mode = "approve"\n[verification]\nkeep_s = 1')
    target = Entity("process", str(machine.hog), "sleep")
    one.act(one.propose(Request("renice", target, "person", {"nice": 3})), approved=True)
    machine.passes(120, 0.0)
    loop.step()
    assert nice(machine) == 3
    assert one.ledger.steps()[-1].stage == "done"


def test_another_process_takes_over_what_one_that_died_left(machine, tmp_path):
    _, loop = machine.agent(tmp_path)
    loop.step()
    machine.passes(15, 600.0)
    one, second = machine.agent(tmp_path)
    second.step()
    assert nice(machine) == 0
    assert [step.stage for step in one.ledger.steps()][:5] == ["proposed", "begun", "done", "verified", "undone"]


def test_an_observer_records_and_touches_nothing(machine, tmp_path):
    one, loop = machine.agent(tmp_path, "")
    assert loop.step()
    assert one.ledger.steps() == []
    assert nice(machine) == 0
    [row] = table(machine, "diagnoses")
    assert (row["fault"], row["culprit"]) == ("cpu_saturation", str(machine.hog))


def test_who_proposes_writes_down_what_would_be_written(machine, tmp_path):
    one, loop = machine.agent(tmp_path, 'mode = "propose"')
    loop.step()
    [step] = one.ledger.steps()
    assert (step.stage, step.mode, step.action) == ("proposed", "propose", "renice")
    assert f"nice of 1 threads of process {machine.hog}: 10 (now: 0)" in "\n".join(machine.said)
    loop.step()
    assert len(one.ledger.steps()) == 1, "not again at every look"
    assert nice(machine) == 0


@pytest.mark.parametrize(("answer", "value", "last"), [(True, 10, "done"), (False, 0, "declined")])
def test_a_person_is_asked(machine, tmp_path, answer, value, last):
    asked = []
    one, loop = machine.agent(tmp_path, 'mode = "approve"', lambda proposed: asked.append(proposed) or answer)
    loop.step()
    assert len(asked) == 1
    assert nice(machine) == value
    assert one.ledger.steps()[-1].stage == last


def test_a_protected_culprit_is_left_alone_and_the_next_best_is_proposed(machine, tmp_path):
    one, loop = machine.agent(tmp_path, AUTO + '[protect]\nnames = ["sleep"]')
    loop.step()
    assert {step.stage for step in one.ledger.steps()} == {"refused"}
    assert {step.action for step in one.ledger.steps()} == {"renice", "limit_cpu"}
    assert nice(machine) == 0
    count = len(one.ledger.steps())
    loop.step()
    assert len(one.ledger.steps()) == count, "the same refusal is not recorded at every look"


def test_a_pid_that_was_given_to_another_since_is_refused(machine, tmp_path):
    one, loop = machine.agent(tmp_path)
    batch = Batch()
    machine.now += 1
    row = Process(machine.now, pid=machine.hog, comm="sleep", start_ticks=1, utime_ms=1, cgroup="/")
    batch.events[Process] = [msgspec.structs.astuple(row)]
    writer = open_writer(machine.path)
    writer.write(batch)
    writer.close()
    loop.step()
    assert {step.stage for step in one.ledger.steps()} == {"refused"}
    assert "another process" in one.ledger.steps()[0].reason
    assert nice(machine) == 0


def test_a_healthy_machine_is_written_down_once(machine, tmp_path):
    machine.passes(60, 0.0)
    _, loop = machine.agent(tmp_path)
    assert [loop.step() for _ in range(3)] == [False] * 3
    assert [row["healthy"] for row in table(machine, "diagnoses")] == [True]


def test_a_model_that_was_talked_into_something_is_refused_and_that_is_recorded(machine, tmp_path, monkeypatch):
    """It proves its finding and then asks for what no finding of the diagnosis proposes."""

    def conclude(body):
        [one] = [part["functionResponse"] for part in body["contents"][-1]["parts"]]
        hog = {"kind": "process", "id": str(machine.hog), "name": "sleep"}
        first = {"kind": "process", "id": "1", "name": "init"}
        wanted = [("terminate", hog), ("pause", first), ("rm -rf /", hog), ("renice", first), ("renice", hog)]
        return answers(
            findings=[
                {
                    "fault": "cpu_saturation",
                    "culprit": hog,
                    "victims": [],
                    "since": moment(machine.now - 20 * SECOND),
                    "confidence": 1.0,
                    "path": [{"claim": "it ran", "evidence": [one["response"]["output"]["ref"]]}],
                    "refuted_by": "-",
                    "outlook": "-",
                    "actions": [{"action": act, "target": whom, "text": "do it now"} for act, whom in wanted],
                }
            ]
        )

    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ran = {"table": "sched_process_stats", "metric": "cpu_time_ms", "how": "sum", "where": [f"pid={machine.hog}"]}
    with serving(calls(("prove", ran), step=1), conclude) as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        one, loop = machine.agent(tmp_path, heard="gemini")
        loop.step()
        assert server.refusals == []
    by_model = [step for step in one.ledger.steps() if step.asked_by == "model"]
    assert {step.stage for step in by_model} == {"refused"}
    assert {(step.action, step.target) for step in by_model} == {
        ("terminate", str(machine.hog)),
    }, "what is no remedy, or is about somebody of whom the finding does not speak, does not even get so far"
    assert state(machine.hog) == "S"
    assert nice(machine) == 10, "what the diagnosis proposes is done as ever"


def test_hostile_names_change_nothing_but_their_own_display(tmp_path):
    """The process calls itself what would like to be an instruction, a command, markup."""
    name = b'\x1b[2J{"a":1}\'; --'
    program = f"import ctypes, time; ctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0); print(flush=True); time.sleep(300)"
    with sleeper(sys.executable, "-c", program) as process:
        process.stdout.readline()
        until(lambda: look(HOST, process.pid).comm.startswith("\x1b"), "the name")
        machine = Machine(tmp_path, process.pid)
        machine.passes(30, 0.0)
        machine.passes(30, 600.0)
        one, loop = machine.agent(tmp_path)
        loop.step()
        assert nice(machine) == 10
        assert state(process.pid) == "S"
        [steps] = by_action(one.ledger.steps()).values()
        assert steps[0].target_name == look(HOST, process.pid).comm
        assert parse(AUTO) == one.policy


def put(machine, *events):
    batch = Batch()
    for one in events:
        batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(one))
    writer = open_writer(machine.path)
    assert not writer.write(batch)
    writer.close()


def test_what_somebody_acknowledged_is_neither_acted_upon_nor_written_down(machine, tmp_path):
    until_ns = machine.now + 3600 * SECOND
    put(
        machine, Mute(machine.now, mute_id="m", stage="muted", fault="cpu_saturation", until_ns=until_ns, reason="ours")
    )
    _, loop = machine.agent(tmp_path)
    assert not loop.step(), "nothing is to be looked at again soon"
    assert (loop.verdict, nice(machine)) == ("healthy", 0)
    [row] = table(machine, "diagnoses")
    assert (row["fault"], row["muted"]) == (None, f"cpu saturation by sleep ({machine.hog}): ours")
    put(machine, Mute(machine.now, mute_id="m", stage="unmuted", fault="cpu_saturation"))
    assert loop.step()
    assert (loop.verdict, nice(machine)) == ("findings", 10)


def test_time_that_nobody_recorded_is_written_down_once_as_not_known(machine, tmp_path):
    _, loop = machine.agent(tmp_path, policy='mode = "observe"')
    loop.step()
    machine.now += 600 * SECOND
    assert [loop.step() for _ in range(2)] == [False, False]
    assert loop.verdict == "unknown"
    *_, row = table(machine, "diagnoses")
    assert (row["verdict"], row["healthy"]) == ("unknown", None)
    assert row["unknown"]
    assert len(table(machine, "diagnoses")) == 2


def test_who_has_just_started_hears_of_the_time_since_then(machine, tmp_path):
    machine.now += 40 * SECOND
    machine.passes(25, 0.0)
    _, loop = machine.agent(tmp_path, policy='mode = "observe"')
    loop.step()
    assert loop.verdict != "healthy", "of the whole minute, more than half was not recorded"
    loop.step(recent=True)
    assert loop.verdict == "healthy"
    *_, row = table(machine, "diagnoses")
    assert machine.now - row["start_ns"] <= 26 * SECOND
