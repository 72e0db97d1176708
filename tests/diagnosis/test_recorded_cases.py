"""Faults that were really played and recorded are found again, class and culprit, with proof."""

import pytest
from benchmarks.faultbench.recording import about, cases, name_of
from benchmarks.faultbench.run import replay
from benchmarks.faultbench.scenario import scenarios
from readable import unreadable

from kernelsight.agent.commands import command
from kernelsight.diagnosis.report import report

CASES = cases()


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
    assert unreadable(line.text for answer in answers for line in report(answer, command=command)) == []


def test_every_case_has_a_scenario_that_can_make_it_again():
    named = {about(case)["scenario"] for case in CASES}
    assert named
    assert named <= set(scenarios())
