"""What every reasoner promises."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import END, START, cpus, stored, used

from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.diagnosis import diagnose
from kernelsight.errors import UsageError
from kernelsight.query.times import TimeRange


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, group=5)]
    return stored(tmp_path_factory.mktemp("agent") / "db", [*cpus(2), *hogs, *used(12, "web", 100, 400)])


def test_the_offline_reasoner_reports_what_the_diagnosis_finds(path):
    report = reasoner("offline", path).ask(Question(TimeRange(START, END)))
    assert report.diagnosis == diagnose(path, START, END)
    assert report.proposals == report.diagnosis.findings[0].actions
    assert report.usage.seconds > 0


@pytest.mark.parametrize("name", ["nobody", "../../offline", "", "os.path"])
def test_a_reasoner_that_is_not_there_is_named(path, name):
    with pytest.raises(UsageError, match="no reasoner is called"):
        reasoner(name, path)
