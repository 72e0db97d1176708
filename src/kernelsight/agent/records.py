"""Diagnoses as rows of the store, and what of them is new."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kernelsight.diagnosis.model import Diagnosis, Finding
from kernelsight.diagnosis.report import acknowledged
from kernelsight.diagnosis.summary import finding_sentence, sentence
from kernelsight.events.action import DiagnosisRow
from kernelsight.events.declare import LONGEST_TEXT

_KEPT_ROWS = 8
"""Row ids that are kept of each number where all of them would be too long for a column."""


def rows_of(diagnosis: Diagnosis, diagnosis_id: str) -> Iterator[DiagnosisRow]:
    """The rows of a diagnosis: its findings, or that it is healthy or not known."""
    window = diagnosis.window
    whole = DiagnosisRow(
        window.end_ns,
        diagnosis_id=diagnosis_id,
        start_ns=window.start_ns,
        healthy=diagnosis.healthy,
        verdict=diagnosis.verdict,
        unknown="; ".join(diagnosis.unknown)[:LONGEST_TEXT] or None,
        muted="; ".join(map(acknowledged, diagnosis.muted))[:LONGEST_TEXT] or None,
        sentence=sentence(diagnosis)[:LONGEST_TEXT],
    )
    if not diagnosis.findings:
        yield whole
    for rank, finding in enumerate(diagnosis.findings, 1):
        yield msgspec.structs.replace(
            whole,
            rank=rank,
            fault=finding.fault,
            culprit_kind=finding.culprit.kind,
            culprit=finding.culprit.id,
            culprit_name=finding.culprit.name,
            confidence=finding.confidence,
            onset_ns=finding.onset_ns,
            victims=", ".join(f"{victim.name} ({victim.id})" for victim in finding.victims) or None,
            outlook=finding.outlook or None,
            finding=_encoded(finding),
            sentence=finding_sentence(diagnosis, finding)[:LONGEST_TEXT],
        )


def in_short(row: DiagnosisRow) -> str:
    """What a row says, in a line."""
    if row.fault:
        return row.sentence or f"{row.fault} by {row.culprit_kind} {row.culprit_name} ({row.culprit})"
    if row.verdict != "healthy":
        return f"not known: {row.unknown}"
    return f"healthy, but for what is muted: {row.muted}" if row.muted else "healthy"


def _encoded(finding: Finding) -> str:
    text = msgspec.json.encode(finding).decode()
    if len(text) <= LONGEST_TEXT:
        return text
    path = tuple(
        msgspec.structs.replace(
            step,
            evidence=tuple(msgspec.structs.replace(e, row_ids=e.row_ids[:_KEPT_ROWS]) for e in step.evidence),
        )
        for step in finding.path
    )
    return msgspec.json.encode(msgspec.structs.replace(finding, path=path)).decode()[:LONGEST_TEXT]


class News:
    """Knows what was written down last, and each finding's name: what goes on as it was is not written every time."""

    def __init__(self) -> None:
        self._names: dict[tuple[object, ...], str] = {}
        self._last: tuple[object, ...] = ()
        self.begun: tuple[Finding, ...] = ()
        """The findings of the last look that were not there at the one before."""

    def of(self, diagnosis: Diagnosis, diagnosis_id: str) -> list[DiagnosisRow]:
        """The rows of a diagnosis; none where it says what the one before said."""
        self.begun = tuple(finding for finding in diagnosis.findings if _key(finding) not in self._names)
        self._names = {_key(finding): self._names.get(_key(finding), diagnosis_id) for finding in diagnosis.findings}
        before = self._last
        self._last = (
            diagnosis.verdict,
            frozenset(self._names),
            frozenset(_key(muted.finding) for muted in diagnosis.muted),
        )
        return list(rows_of(diagnosis, diagnosis_id)) if self._last != before else []

    def name_of(self, finding: Finding) -> str:
        """Under which name a finding of the last look was written down first."""
        return self._names[_key(finding)]


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.fault, finding.culprit
