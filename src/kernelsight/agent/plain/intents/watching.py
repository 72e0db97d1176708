"""What shows that something was watched for and did not happen: the reports of the collector that sees it."""

from __future__ import annotations

from kernelsight.agent.evidence import evidence_of
from kernelsight.agent.plain.asked import Asked
from kernelsight.diagnosis.model import Evidence
from kernelsight.events.wire import kinds


def watched(asked: Asked, kind: str) -> Evidence | None:
    """The reports of the collector of a kind in that time; None where it did not run, or did not tell."""
    rows = [
        row for row in asked.rows("collector") if kind in str(row["kinds"] or row["name"]).split(",")
    ]  # fmt: skip
    if not rows or any(row["status"] != "running" for row in rows):
        return None
    return evidence_of(kinds()["collector"].table, "runs", "count", rows[-1:]) if rows[-1]["runs"] is not None else None
