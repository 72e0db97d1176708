"""What a victim measures itself becomes a part of what is true of a run."""

from __future__ import annotations

import os
import signal
import time

import pytest
from benchmarks.faultbench.harm import NS_PER_S, Second, harm, harms, parse
from benchmarks.faultbench.stage import Stage

ANSWER_TO_ITSELF = "import time\nwhile True:\n    began = time.monotonic()\n    time.sleep(0.02)\n    measured(began)\n"


def test_lines_that_are_cut_are_left_out():
    assert parse("100 7 0.01 0.02\n101 3 0.0") == [Second(100, 7, 0.01, 0.02)]
    assert parse("") == parse("x y z w\n1 2 3") == []


def test_answers_and_waits_before_and_during_are_told_apart():
    seconds = [Second(at, 100, 0.010, 0.020) for at in range(90, 100)] + [
        Second(at, 5, 0.5, 2.0) for at in range(100, 110)
    ]
    found = harm("web", seconds, 100 * NS_PER_S + 5, 110 * NS_PER_S + 5)
    assert (found.before_per_s, found.during_per_s) == (100, 5)
    assert (found.before_ms, found.during_ms, found.longest_ms) == (10, 500, 2000)


def test_a_program_without_any_answer_during_the_fault_gets_none():
    found = harm("web", [Second(98, 10, 0.1, 0.1), Second(99, 10, 0.1, 0.1)], 100 * NS_PER_S, 105 * NS_PER_S)
    assert found.before_per_s == 10
    assert found.during_per_s == 0
    assert found.during_ms is None


@pytest.mark.parametrize("seconds", [[], [Second(101, 5, 0.1, 0.1)]])
def test_of_a_program_that_begins_with_the_fault_nothing_is_known(seconds):
    assert harm("web", seconds, 100 * NS_PER_S, 105 * NS_PER_S) is None


@pytest.mark.slow
def test_a_program_that_is_stopped_says_so_by_itself():
    with Stage(1) as stage:
        victim, culprit = stage.python(ANSWER_TO_ITSELF), stage.python(ANSWER_TO_ITSELF)
        time.sleep(3.2)
        os.kill(victim.pid, signal.SIGSTOP)
        onset = time.time_ns()
        time.sleep(3.2)
        found = list(harms(stage.measured, onset, time.time_ns(), but=[culprit.name]))
        folder = stage.measured
    assert [one_harm.name for one_harm in found] == [victim.name]
    assert found[0].before_per_s > 10
    assert found[0].during_per_s == 0
    assert 20 <= found[0].before_ms < 200
    assert not folder.exists()
