"""What is said of confidences and of checks, held against answers in which it is known."""

import pytest
from benchmarks.faultbench.answers import Answer, answers_it, best_sharpness
from benchmarks.faultbench.calibrate import Question, left_out
from benchmarks.faultbench.removal import removals, told, worths
from benchmarks.faultbench.truth import Culprit, Truth
from scenes import START, used

from kernelsight.diagnosis.candidate import Candidate, Outcome
from kernelsight.diagnosis.model import Entity, Step

SPINNER, OTHER = Entity("process", "10", "spinner"), Entity("process", "20", "other")
HIT, QUOTA = ("quota_used_up", "hit_often"), ("quota_used_up", "has_quota")


def candidate(culprit, **odds):
    outcomes = [Outcome(name, value > 0, max(value, 0.0), max(-value, 0.0), name) for name, value in odds.items()]
    path = [Step("shown", ())]
    return Candidate("cpu_throttling", culprit, START, checks=outcomes, path=path, mechanism="quota_used_up")


def test_an_answer_is_told_without_each_check_in_turn(scene_of):
    window = scene_of(*used(10, "spinner", 100.0, 0.0))
    candidates = [candidate(SPINNER, hit_often=2.0, has_quota=1.5), candidate(OTHER, hit_often=3.0, has_quota=-4.0)]
    assert told(candidates, window) == (("cpu_throttling", SPINNER),)
    without = {one.check: one for one in removals(candidates, window)}
    assert without[HIT].told == (("cpu_throttling", SPINNER),)
    assert without[QUOTA].told == (("cpu_throttling", OTHER), ("cpu_throttling", SPINNER))
    assert (without[HIT].held, without[HIT].failed) == (2, 0)
    assert (without[QUOTA].held, without[QUOTA].failed) == (1, 1)
    assert [outcome.check_id for outcome in candidates[1].checks] == ["hit_often", "has_quota"], "they stay as they are"


def test_a_check_is_worth_the_right_answers_that_are_lost_without_it(scene_of):
    window = scene_of(*used(10, "spinner", 100.0, 0.0))
    candidates = [candidate(SPINNER, hit_often=2.0, has_quota=1.5), candidate(OTHER, hit_often=3.0, has_quota=-4.0)]
    whole, without = told(candidates, window), list(removals(candidates, window))
    truth = Truth("cpu_throttling", (Culprit(names=("spinner",)),))
    rights = [answers_it(findings, truth) for findings in (whole, *(one.told for one in without))]
    worth = {one.check: one for one in worths([(whole, without, rights)] * 3)}
    assert (worth[QUOTA].changed, worth[QUOTA].lost, worth[QUOTA].won) == (3, 3, 0)
    assert (worth[HIT].held, worth[HIT].changed, worth[HIT].lost) == (6, 0, 0)
    unmet = worth["hypervisor_takes_cpu", "lasts"]
    assert (unmet.held, unmet.failed, unmet.changed) == (0, 0, 0), "checks that no answer meets are listed, too"


@pytest.mark.parametrize(
    ("findings", "truth", "right"),
    [
        ((), Truth(), True),
        ((("fd_leak", SPINNER),), Truth(), False),
        ((), Truth("fd_leak", (Culprit(names=("spinner",)),)), False),
        ((("fd_leak", SPINNER), ("disk_full", OTHER)), Truth("fd_leak", (Culprit(names=("spinner",)),)), True),
        ((("disk_full", OTHER), ("fd_leak", SPINNER)), Truth("fd_leak", (Culprit(names=("spinner",)),)), False),
        ((("fd_leak", OTHER),), Truth("fd_leak", (Culprit(names=("spinner",)),)), False),
    ],
)
def test_an_answer_is_right_when_what_it_says_first_is(findings, truth, right):
    assert answers_it(findings, truth) is right


def test_a_scenario_is_judged_by_the_sharpness_of_all_others():
    def question(scenario, *answers):
        return Question(scenario, True, [Answer(scenario, "", odds, right) for odds, right in answers], (), (), (True,))

    sure = [question(f"sure{n}", (3.0, True), (-3.0, False)) for n in range(8)]
    wrong = question("wrong", (3.0, False), (-3.0, True))
    found = left_out([*sure, wrong])
    assert found["scenarios"] == 9
    assert found["sharpness_most"] == best_sharpness([one for asked in sure for one in asked.answers])
    assert found["sharpness_least"] < found["sharpness_most"]
