"""Fitted weights of checks, on answers made up so that the right weights are known."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from benchmarks.faultbench import recording
from benchmarks.faultbench.comparison import compared, lines
from benchmarks.faultbench.removal import told
from benchmarks.faultbench.truth import Culprit, Truth
from benchmarks.faultbench.weights import Example, example, fitted, judged, reweighed
from benchmarks.faultbench.windows import AskedWindow, relations, windows_of
from scenes import LENGTH, SECOND, START, used

from kernelsight.diagnosis.candidate import Candidate, Outcome
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.ranking import SHARPNESS, log_odds
from kernelsight.diagnosis.registry import mechanisms
from kernelsight.events.process import Process

HELD, FAILED, OTHER = ("loop", "spins", True), ("loop", "spins", False), ("loop", "forks", True)
WIDE_NATS = 20.0
"""A prior that says next to nothing."""
SPINNER = Entity("process", "10", "spinner")
CHECKS = {check.id: check for check in mechanisms()["quota_used_up"].checks}


def examples(number, right, *, supporting=(), refuting=(), offset=-1.0):
    return [
        Example(f"scenario{place}", "loop by a", offset, supporting, refuting, place < right) for place in range(number)
    ]


def candidate(culprit=SPINNER, mechanism="quota_used_up", **held):
    outcomes = [Outcome(name, holds, CHECKS[name].supports, CHECKS[name].refutes, name) for name, holds in held.items()]
    path = [Step("shown", ())]
    return Candidate("cpu_throttling", culprit, START, checks=outcomes, path=path, mechanism=mechanism)


def share(offset, weight):
    """How many candidates are right if the weight is the true one."""
    return 1 / (1 + math.exp(-SHARPNESS * (offset + weight)))


@pytest.mark.parametrize(("key", "sign"), [(HELD, 1), (FAILED, -1)], ids=["supports", "refutes"])
def test_a_weight_is_found_that_many_answers_agree_on(key, sign):
    true, number = 2.5, 20_000
    right = round(number * share(1.0, sign * true))
    met = {"supporting" if sign > 0 else "refuting": (key,)}
    weights = fitted(examples(number, right, offset=1.0, **met), {HELD: 1.0, FAILED: 1.0}, WIDE_NATS)
    assert weights[key] == pytest.approx(true, abs=0.01)


def test_what_no_answer_meets_stays_as_it_was_judged():
    before = {HELD: 1.0, FAILED: 3.0, OTHER: 0.5}
    assert fitted([], before, WIDE_NATS) == before
    weights = fitted(examples(50, 45, supporting=(HELD,)), before, WIDE_NATS)
    assert weights[HELD] > 1.0
    assert (weights[FAILED], weights[OTHER]) == (3.0, 0.5)


def test_what_supports_never_refutes_whatever_the_answers_say():
    wrong = [*examples(200, 0, supporting=(HELD,)), *examples(200, 200, refuting=(FAILED,))]
    assert fitted(wrong, {HELD: 1.0, FAILED: 1.0}, WIDE_NATS) == {HELD: 0.0, FAILED: 0.0}


def test_an_outcome_that_tells_nothing_stays_so():
    assert fitted(examples(200, 200, supporting=(HELD,)), {HELD: 0.0}, WIDE_NATS) == {HELD: 0.0}


def test_the_surer_the_judgement_the_less_a_weight_moves():
    known = examples(40, 39, supporting=(HELD,))
    tight, wide = (fitted(known, {HELD: 1.0}, spread)[HELD] for spread in (0.1, 2.0))
    assert 1.0 < tight < 1.2 < wide


def test_checks_that_always_hold_together_share_what_they_are_worth():
    weights = fitted(examples(100, 90, supporting=(HELD, OTHER)), {HELD: 2.0, OTHER: 1.0}, WIDE_NATS)
    assert weights[HELD] - 2.0 == pytest.approx(weights[OTHER] - 1.0, abs=1e-4)


def test_the_fit_is_the_likeliest():
    """Its slope is 0 at the optimum: what the answers pull at a weight is what its prior pulls back."""
    known = [*examples(30, 24, supporting=(HELD,)), *examples(20, 3, refuting=(FAILED,), supporting=(OTHER,))]
    before, spread = {HELD: 1.0, FAILED: 1.0, OTHER: 1.0}, 0.7
    weights = fitted(known, before, spread)
    right = sum(one.right for one in known)
    for key, weight in before.items():
        pull = 0.0
        for one in known:
            target = (right + 1) / (right + 2) if one.right else 1 / (len(known) - right + 2)
            sign = (key in one.supporting) - (key in one.refuting)
            pull += sign * SHARPNESS * (target - one.answer(weights).confidence())
        assert pull == pytest.approx((weights[key] - weight) / spread**2, abs=1e-3)


def test_an_example_is_as_likely_as_its_candidate():
    one = candidate(hit_often=True, has_quota=False)
    its = example("a", one, right=True).answer(judged())
    assert its.log_odds == pytest.approx(log_odds(one))
    assert its.said == "cpu_throttling by spinner"
    assert reweighed([one], judged()) == [one]
    doubled = {key: 2 * weight for key, weight in judged().items()}
    assert log_odds(reweighed([one], doubled)[0]) == pytest.approx(-1.0 + 2 * (log_odds(one) + 1.0))


def parents(*pairs):
    for second in range(LENGTH):
        for pid, parent in pairs:
            yield Process(START + second * SECOND + 3, pid=pid, ppid=parent, comm=f"p{pid}", cgroup="/a")


def test_answers_are_the_same_by_what_is_kept_of_a_window(scene_of):
    forks = [candidate(Entity("process", str(pid), f"p{pid}")) for pid in (10, 20, 30)]
    for one, fault, odds in zip(forks, ("fork_storm", "cpu_saturation", "fork_storm"), (3.0, 2.0, 1.9), strict=True):
        one.fault, one.mechanism, one.prior = fault, "", odds + 1.0
    window = scene_of(*used(20, "p20", 100.0, 0.0, since=27), *parents((10, 1), (20, 10), (30, 10)))
    whole = told(forks, window)
    assert whole == (("fork_storm", forks[0].culprit),), "the children are of the storm"
    assert told(forks, scene_of_nothing(window)) != whole, "the answer depends on what is to be kept"
    assert told(forks, pickle.loads(pickle.dumps(relations(window, forks)))) == whole


def scene_of_nothing(window):
    """A window of the same window in which nobody is known."""
    kept = relations(window, ())
    return replace(kept, _derived={derive: {} for derive in kept._derived}, _rows=kept._rows)


def asked_window(scenario, window, truth, *candidates):
    return AskedWindow(scenario, "end", True, truth, candidates, relations(window, candidates))


THROTTLED = Truth("cpu_throttling", (Culprit(names=("spinner",)),))


def test_a_scenario_is_not_judged_by_weights_that_were_fitted_to_it(scene_of):
    window = scene_of(*used(10, "spinner", 100.0, 0.0))
    only = asked_window("only", window, Truth(), candidate(hit_often=True))
    healthy = [asked_window(f"healthy{place}", window, Truth()) for place in range(3)]
    with ThreadPoolExecutor(1) as executor:
        found = compared([only, *healthy], executor)
    assert (found["scenarios"], found["windows"], found["examples"], found["met"]) == (4, 4, 1, 1)
    assert (found["in_few"], found["one_sided"]) == (1, 1)
    judged_row, *fitted_rows = found["rows"]
    assert len(fitted_rows) == 4
    assert all({**row, "weights": "judged"} == judged_row for row in fitted_rows), "the others say nothing of its check"
    assert (judged_row["right_with_tracers"], judged_row["wrong"], judged_row["on_healthy"]) == (3, 1, 1)
    moved = found["moved"][0]
    assert (moved["check"], moved["holds"], moved["judged"]) == ("quota_used_up/hit_often", True, 3.0)
    assert moved["fitted"] < 3.0, "fitted to all scenarios, it moves"
    assert sum("3/4" in line for line in lines(found)) == 5


def test_answers_that_a_fit_loses_and_wins_are_named(scene_of):
    window = scene_of(*used(10, "spinner", 100.0, 0.0))
    often = [asked_window(f"wrong{place}", window, Truth(), candidate(hit_often=True)) for place in range(12)]
    right = asked_window("right", window, THROTTLED, candidate(hit_often=True))
    with ThreadPoolExecutor(1) as executor:
        last = compared([*often, right], executor)["rows"][-1]
    assert last["lost"] == ["right (end)"]
    assert last["won"] == [f"{each.scenario} (end)" for each in often]
    assert (last["wrong"], last["on_healthy"], last["wrong_anywhere"]) == (0, 0, 0)


def test_windows_are_kept_for_the_next_time(tmp_path):
    (case,) = recording.cases(["python_pool_that_idles"])
    windows = windows_of(case, tmp_path)
    assert [(each.moment, each.tracers) for each in windows] == [
        (moment, tracers) for tracers in (True, False) for moment in ("before", "midst", "end")
    ]
    (kept,) = tmp_path.iterdir()
    again = windows_of(case, tmp_path)
    assert [told(each.candidates, each.window) for each in again] == [
        told(each.candidates, each.window) for each in windows
    ]
    kept.write_bytes(pickle.dumps(windows[:1]))
    assert len(windows_of(case, tmp_path)) == 1, "it is taken from there"
    other = tmp_path / "other"
    other.mkdir()
    for part in (case, case.with_name("python_pool_that_idles.json")):
        (other / part.name).write_bytes(part.read_bytes())
    changed = other / case.name
    changed.write_bytes(changed.read_bytes() + zstandard_frame())
    assert len(windows_of(changed, tmp_path)) == 6, "of another recording they are made anew"


def zstandard_frame():
    """A skippable frame, which changes the file and none of its lines."""
    return bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"note"
