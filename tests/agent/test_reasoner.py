"""What every reasoner promises."""

import pytest
from story import WINDOW

from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.diagnosis import diagnose
from kernelsight.errors import UsageError


def test_the_offline_reasoner_reports_what_the_diagnosis_finds(path):
    report = reasoner("offline", path).ask(Question(WINDOW))
    assert report.diagnosis == diagnose(path, WINDOW.start_ns, WINDOW.end_ns)
    assert report.proposals == report.diagnosis.findings[0].actions
    assert report.usage.seconds > 0


@pytest.mark.parametrize("name", ["nobody", "../../offline", "", "os.path"])
def test_a_reasoner_that_is_not_there_is_named(path, name):
    with pytest.raises(UsageError, match="no reasoner is called"):
        reasoner(name, path)
