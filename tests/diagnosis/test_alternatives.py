"""Near ties are one finding with what else it may be, in the same order on every run."""

from __future__ import annotations

import itertools

import pytest
from scenes import LENGTH, SECOND, START, stored

from kernelsight.diagnosis.candidate import Candidate, Outcome
from kernelsight.diagnosis.model import Bounds, Diagnosis, Entity, Step
from kernelsight.diagnosis.ranking import rank
from kernelsight.diagnosis.report import report
from kernelsight.diagnosis.window import Window
from kernelsight.events.process import Process
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader

GROUP = Entity("cgroup", "/shop", "/shop")
JAVA, APP, DATABASE = (Entity("process", str(pid), name) for pid, name in ((20, "java"), (21, "app"), (22, "db")))


@pytest.fixture
def window(tmp_path):
    rows = [
        Process(START, pid=int(one.id), ppid=1, comm=one.name, start_ticks=1, cgroup="/shop") for one in (JAVA, APP)
    ]
    reader = open_reader(stored(tmp_path / "db", rows))
    yield Window(reader, TimeRange(START, START + LENGTH * SECOND))
    reader.close()


def candidate(fault, culprit, *victims, odds=3.0, onset=10):
    one = Candidate(fault, culprit, START + onset * SECOND, victims)
    one.checks = [Outcome("it is so", True, odds, 4.0)]
    one.path = [Step("shown", ())]
    return one


def told(window, *candidates):
    findings, _ = rank(candidates, window)
    return [(one.fault, tuple(other.fault for other in one.alternatives)) for one in findings]


def test_explanations_of_one_suffering_that_nearly_tie_are_one_finding_in_any_order(window):
    for more, less in ((3.2, 3.0), (3.0, 3.2), (3.0, 3.0)):
        crowd = candidate("runqueue_contention", APP, DATABASE, odds=more)
        storm = candidate("context_switch_storm", JAVA, DATABASE, odds=less, onset=20)
        for order in itertools.permutations((crowd, storm)):
            assert told(window, *order) == [("context_switch_storm", ("runqueue_contention",))]


def test_one_that_is_clearly_likelier_stands_alone(window):
    crowd, storm = (
        candidate("runqueue_contention", APP, DATABASE),
        candidate("context_switch_storm", JAVA, DATABASE, odds=5),
    )
    assert told(window, crowd, storm) == [("context_switch_storm", ()), ("runqueue_contention", ())]


def test_faults_of_different_sufferers_or_kinds_stay_apart(window):
    apart = (
        candidate("runqueue_contention", APP, Entity("process", "90", "web")),
        candidate("softirq_load", JAVA, DATABASE),
    )
    assert len(told(window, *apart)) == 2
    kinds = (
        candidate("disk_latency", Entity("device", "sda", "sda"), DATABASE),
        candidate("softirq_load", JAVA, DATABASE),
    )
    assert len(told(window, *kinds)) == 2
    leak = candidate("memory_leak", JAVA, JAVA), candidate("memory_pressure", JAVA, JAVA)
    assert all(not alternatives for _, alternatives in told(window, *leak))


def test_the_report_says_what_else_it_may_be(window):
    crowd, storm = candidate("runqueue_contention", APP, DATABASE), candidate("softirq_load", JAVA, DATABASE)
    findings, _ = rank([crowd, storm], window)
    lines = [line.text for line in report(Diagnosis(Bounds(START, START + SECOND), False, findings))]
    assert any("runqueue contention by app (21)" in line and "may be" in line for line in lines)
