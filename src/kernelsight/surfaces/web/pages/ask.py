"""Questions in plain words, answered from the store without a model: every claim leads to its rows."""

from collections.abc import Mapping
from typing import Any

from kernelsight.agent.model import Report
from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.diagnosis.report import cited
from kernelsight.diagnosis.summary import sentence
from kernelsight.printable import printable
from kernelsight.surfaces.web.headline import incident_path
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.pages.incident import rows_path

_LONGEST = 1_000
"""Characters of a question."""
_EXAMPLES = (
    "what is wrong?",
    "who used most CPU?",
    "who wrote most to the disk?",
    "what changed?",
    "is any disk full?",
)


def _context(visit: Visit) -> Mapping[str, Any]:
    question = visit.parameters.get("q", "").strip()[:_LONGEST]
    known: dict[str, Any] = {"question": question, "examples": _EXAMPLES, "report": None}
    if not question:
        return known
    report = reasoner("offline", visit.desk.db_path).ask(Question(visit.when, question), lambda _: None)
    window = report.diagnosis.window
    return {
        **known,
        "report": report,
        "claims": [
            (printable(step.claim), [(cited(evidence), rows_path(evidence)) for evidence in step.evidence])
            for step in report.answer
        ],
        "verdict": _verdict(report),
        "path": incident_path(window.start_ns, window.end_ns),
    }


def _verdict(report: Report) -> str:
    """What the diagnosis says of that time, beside the answer."""
    return printable(sentence(report.diagnosis))


page(Page("ask", "Ask", "/ask", "ask.html", context=_context, rank=14))
