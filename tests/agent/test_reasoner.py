"""What every reasoner promises."""

import subprocess
import sys

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


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def test_without_the_package_the_answers_are_offline_and_a_model_is_refused_with_the_way_to_get_it():
    hidden = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name.startswith('google') else find(name, *rest)\n"
        "sys.modules['google.genai'] = None\n"
        "from kernelsight.agent.reasoner import reasoner\n"
        "from kernelsight.errors import UsageError\n"
        "print(reasoner('auto', 'nowhere').name)\n"
        "try:\n    reasoner('gemini', 'nowhere')\nexcept UsageError as error:\n    print(error)\n"
    )
    said = run(hidden, GEMINI_API_KEY="some")
    assert said.stdout.splitlines()[0] == "offline", said.stderr
    assert "pip install 'kernelsight[agent]'" in said.stdout


def test_nothing_of_a_model_is_loaded_before_one_is_asked():
    program = (
        "import sys, kernelsight.surfaces.cli.ask\n"
        "from kernelsight.agent.reasoner import reasoner\n"
        "reasoner('offline', 'nowhere')\n"
        "print([name for name in sys.modules if name.startswith(('google', 'httpx', 'pydantic'))])"
    )
    said = run(program)
    assert said.stdout.strip() == "[]", said
