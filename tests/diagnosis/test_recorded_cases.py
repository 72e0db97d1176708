"""Faults that were really played and recorded are found again, class and culprit, with proof."""

import gc

import pytest
from benchmarks.faultbench.recording import about, cases, name_of
from benchmarks.faultbench.run import diagnosed, replay, replayed
from benchmarks.faultbench.scenario import scenarios
from readable import unreadable

from kernelsight.agent.commands import command
from kernelsight.diagnosis.remedies import remedies
from kernelsight.diagnosis.report import report
from kernelsight.diagnosis.summary import finding_sentence
from kernelsight.diagnosis.window import Window

CASES = cases()
FAULTS = [case for case in CASES if about(case)["truth"]["fault"] is not None]
LONGEST_SENTENCE = 420
S = 1_000_000_000
BEGIN_S, END_S = (-9.7, -4.6, -2.2, 2.5), (-1.0, -2.4)
"""First seconds of windows after the onset, and last ones after its end."""


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_recorded_fault_is_found_and_nothing_else_before_it(case):
    answers = []

    def ask(database, start, end):
        answers.append(diagnosed(database, start, end))
        return answers[-1]

    score = replay(case, ask=ask)
    assert score.right, score
    assert score.fault is None or score.detected_s is not None
    for finding in (finding for answer in answers for finding in answer.findings):
        for proposal in finding.actions:
            assert not remedies()[proposal.action].wrong_with(proposal)
            assert command(finding, proposal)
    sentences = [finding_sentence(answer, finding) for answer in answers for finding in answer.findings]
    assert all(finding.does for answer in answers for finding in answer.findings)
    assert [said for said in sentences if "None" in said or "  " in said or len(said) > LONGEST_SENTENCE] == []
    lines = [line for answer in answers for line in report(answer, command=command)]
    assert unreadable(line.text for line in lines if line.style != "command") == []


def test_every_case_has_a_scenario_that_can_make_it_again():
    named = {about(case)["scenario"] for case in CASES}
    assert named
    assert named <= set(scenarios())


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS[::9], ids=name_of)
def test_the_onset_of_a_recorded_fault_is_the_same_for_every_window(case):
    truth = about(case)
    onset, offset = truth["onset_ns"], truth["offset_ns"]
    with replayed(case) as database:
        answers = [diagnosed(database, int(onset + a * S), int(offset + b * S)) for a in BEGIN_S for b in END_S]
    found = [one.onset_ns for answer in answers for one in answer.findings if one.fault == truth["truth"]["fault"]]
    assert found
    assert max(found) - min(found) <= S, [(one - onset) / S for one in found]


@pytest.mark.parametrize("case", FAULTS[::16], ids=name_of)
def test_an_answer_leaves_none_of_its_rows_in_memory(case):
    offset = about(case)["offset_ns"]
    gc.disable()  # it would free what refers to itself, some time later, and until then the next answer has less room
    try:
        with replayed(case) as database:
            assert diagnosed(database, offset - 60 * S, offset - S).findings
            assert not [kept for kept in gc.get_objects() if isinstance(kept, Window)]
    finally:
        gc.enable()


def test_a_device_that_is_stuck_is_found_where_no_task_is_seen_to_wait():
    [case] = cases({"device_that_does_not_answer"})
    offset = about(case)["offset_ns"]
    with replayed(case, tracers=False) as database:
        answer = diagnosed(database, offset - 60 * S, offset - S)
    assert ("blocked_io", "loop0") in {(each.fault, each.culprit.name) for each in answer.findings}
