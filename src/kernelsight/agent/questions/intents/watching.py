"""What shows that something was watched for and did not happen: the reports of the collector that sees it."""

from __future__ import annotations

from kernelsight.agent.evidence import shown_by
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.diagnosis.model import Evidence
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Kind


def watched(question: ParsedQuestion, kind: Kind) -> Evidence | None:
    """The reports of the collector of a kind in that time; None where it did not run, or did not tell."""
    rows = [row for row in question.rows(CollectorReport) if kind.name in str(row.kinds or row.name).split(",")]
    if not rows or any(row.status != "running" for row in rows) or rows[-1].runs is None:
        return None
    return shown_by(rows[-1:], CollectorReport.runs, "count")
