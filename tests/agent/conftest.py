"""A store in which it is known what happens, and a model that is a script."""

import sys
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from scenes import cpus, stored, used
from server import KEY, serving
from story import WINDOW

from kernelsight.agent.budget import Budget
from kernelsight.agent.gemini.settings import settings
from kernelsight.agent.reasoner import Question, reasoner


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    """Two hogs take the CPUs of a web server."""
    hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, group=5)]
    return stored(tmp_path_factory.mktemp("agent") / "db", [*cpus(2), *hogs, *used(12, "web", 100, 400)])


@pytest.fixture
def scripted(path, monkeypatch):
    """Ask a model that answers by a script: gives the server, the report, and what was told meanwhile."""
    hasty = partial(settings, first_delay_s=0.01)
    monkeypatch.setattr("kernelsight.agent.reasoners.gemini.settings", hasty)

    def ask(*script, question="", budget=Budget(seconds=20), source=path, then=()):  # noqa: B008 - immutable
        told = []
        with serving(*script) as server:
            monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
            monkeypatch.setenv("GEMINI_API_KEY", KEY)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            conversation = reasoner("gemini", source, budget)
            reports = [conversation.ask(Question(WINDOW, text), told.append) for text in (question, *then)]
        return server, reports[-1], told

    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "KERNELSIGHT_MODEL", "GOOGLE_GENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    return ask
