"""Everyday questions, and what is true of the machine that they are asked about."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from everyday import SECOND, START, WINDOW, everyday
from scenes import stored

from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.diagnosis.check import wrong_with
from kernelsight.moments import to_second
from kernelsight.query.source import opened

QUESTIONS = tomllib.loads(Path(__file__).with_name("questions.toml").read_text())["question"]
_MOMENT = re.compile(r"\{(?:at|clock):(\d+)\}")
LEAST = 0.9


def _said(text: str) -> str:
    return _MOMENT.sub(lambda match: to_second(START + int(match[1]) * SECOND), text)


CASES = [(_said(ask), case) for case in QUESTIONS for ask in case["ask"]]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("everyday") / "db", everyday())


def wrong(report, case):
    """What is wrong with an answer; empty where nothing is."""
    first = report.answer[0].claim if report.answer else ""
    text = "\n".join(step.claim for step in report.answer)
    faults = []
    if case.get("unknown"):
        if report.is_known:
            faults.append("known")
    elif not report.answer:
        faults.append("no answer")
    if not first.startswith(_said(case.get("first", ""))):
        faults.append(f"does not begin with {case['first']}")
    faults += [f"lacks {said}" for said in map(_said, case.get("says", ())) if said not in text]
    faults += [f"has {said}" for said in case.get("never", ()) if said in text]
    faults += ["None"] if re.search(r"\bNone\b", text + " ".join(report.limits)) else []
    return faults, text or " | ".join(report.limits)


def outcomes(store, cases):
    """For each question what is wrong with its answer, and that all that is claimed is proven."""
    found = {}
    with opened(store) as reader:
        for ask, case in cases:
            report = reasoner("offline", store).ask(Question(WINDOW, ask))
            faults, text = wrong(report, case)
            for step in report.answer:
                faults += [f"not shown: {step.claim}"] if not step.evidence else []
                faults += [fault for evidence in step.evidence if (fault := wrong_with(reader, evidence))]
            if faults:
                found[ask] = f"{'; '.join(faults)} — {text[:300]}"
    return found


def score(store, cases):
    """How many are right, and what is wrong with the others."""
    found = outcomes(store, cases)
    right = len(cases) - len(found)
    told = "\n".join(f"{ask}: {why}" for ask, why in found.items())
    return right / len(cases), f"{right} of {len(cases)} are right\n{told}"


EVERYDAY = [(_said(case["ask"][-1]), case) for case in QUESTIONS if not case.get("unknown")]
UNKNOWN = [(_said(ask), case) for case in QUESTIONS if case.get("unknown") for ask in case["ask"]]


@pytest.mark.slow  # each question looks at ten minutes of rows
def test_everyday_questions_are_answered(store):
    share, told = score(store, EVERYDAY)
    assert share >= LEAST, told


@pytest.mark.slow
def test_no_question_that_cannot_be_answered_is_answered_with_confidence(store):
    share, told = score(store, UNKNOWN)
    assert share == 1.0, told
