"""Faults that were really played and recorded are found again, class and culprit, with proof."""

import json
from pathlib import Path

import pytest
from benchmarks import faultbench
from benchmarks.faultbench.run import replay
from benchmarks.faultbench.scenario import scenarios

CASES = sorted(Path(faultbench.__file__).with_name("cases").glob("*.ndjson.zst"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".ndjson.zst"))
def test_a_recorded_fault_is_found_and_nothing_else_before_it(case):
    score = replay(case)
    assert score.right, score
    assert score.fault is None or score.detected_s is not None


def test_every_case_has_a_scenario_that_can_make_it_again():
    named = {
        json.loads(case.with_name(case.name.replace(".ndjson.zst", ".json")).read_text())["scenario"] for case in CASES
    }
    assert named
    assert named <= set(scenarios())
