"""Evidence is proven against the store: what is not there, or says something else, is noticed."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import END, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check, grounded
from kernelsight.diagnosis.measure import measured, slope
from kernelsight.diagnosis.model import Diagnosis
from kernelsight.diagnosis.report import report
from kernelsight.events.block import Block
from kernelsight.query.stored import with_id


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, group=5)]
    return stored(tmp_path_factory.mktemp("check") / "db", [*cpus(2), *hogs, *used(12, "web\x1b[2J", 100, 400)])


@pytest.fixture(scope="module")
def diagnosis(path):
    return diagnose(path, START, END)


def altered(diagnosis, **changes):
    """The diagnosis with the first piece of evidence of its first finding changed."""
    [finding, *others] = diagnosis.findings
    [step, *steps] = finding.path
    evidence = msgspec.structs.replace(step.evidence[0], **changes)
    path = (msgspec.structs.replace(step, evidence=(evidence, *step.evidence[1:])), *steps)
    return msgspec.structs.replace(diagnosis, findings=(msgspec.structs.replace(finding, path=path), *others))


def test_what_is_found_is_proven(path, diagnosis):
    assert diagnosis.findings
    assert check(path, diagnosis) == []
    assert all(grounded(path, finding) for finding in diagnosis.findings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"value": 1.0}, "is .*, not 1"),
        ({"row_ids": (1, 2)}, "0 of 2 cited rows"),
        ({"row_ids": ()}, "0 of 0 cited rows"),
        ({"metric": "wishes"}, "no column 'wishes'"),
        ({"table": "nothing"}, "no table is called"),
        ({"how": "max"}, "max of runqueue_ms is"),
        ({"start_ns": END + 5, "end_ns": END + 6}, "0 of .* cited rows"),
    ],
)
def test_what_is_not_so_is_noticed(path, diagnosis, changes, said):
    [fault] = check(path, altered(diagnosis, **changes))
    assert re.search(said, fault)
    assert not grounded(path, altered(diagnosis, **changes).findings[0])


def test_a_finding_without_a_path_is_not_grounded(path, diagnosis):
    bare = msgspec.structs.replace(diagnosis.findings[0], path=())
    assert not grounded(path, bare)


def test_a_diagnosis_goes_through_json_unchanged(diagnosis):
    assert msgspec.json.decode(msgspec.json.encode(diagnosis), type=Diagnosis) == diagnosis


def test_the_report_names_culprit_and_proof(diagnosis):
    text = "\n".join(line.text for line in report(diagnosis, verbose=True))
    assert re.match(r"2 . crunch \(pids \d+, \d+\) use ", text)
    assert "cpu saturation, since" in text
    assert "sched_process_stats: sum of runqueue_ms" in text
    assert "wrong if:" in text


@given(st.floats(-1e3, 1e3), st.lists(st.floats(-1e9, 1e9), max_size=4))
def test_a_few_wild_points_do_not_bend_a_slope(per_second, wild):
    points = [(i * 10**9, per_second * i) for i in range(31)]
    for i, value in enumerate(wild):
        points[7 * i + 1] = (points[7 * i + 1][0], value)
    # Four of 31 points are in less than half of the pairs, so the median is a pair of the others.
    assert slope(points) == pytest.approx(per_second, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("how", "value"),
    [("sum", 6), ("mean", 2), ("max", 3), ("min", 1), ("last", 3), ("count", 3), ("increase", 2), ("slope", 1)],
)
def test_each_way_to_a_number(how, value):
    rows = [with_id(Block)(i * 10**9, device_name="vda", io_ticks=i + 1, id=i) for i in range(3)]
    assert measured(how, Block.io_ticks, rows) == pytest.approx(value)
