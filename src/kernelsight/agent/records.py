"""Diagnoses as rows of the store, and what of them is new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from kernelsight.diagnosis.model import Diagnosis, Finding
from kernelsight.events.action import Answer, DiagnosisRow
from kernelsight.events.declare import LONGEST_TEXT

_KEPT_ROWS = 8
"""Row ids that are kept of each number where all of them would be too long for a column."""


def rows_of(diagnosis: Diagnosis, diagnosis_id: str, findings: Iterable[Finding]) -> Iterator[DiagnosisRow]:
    """The rows of a diagnosis: its new findings, or that it is healthy or not known."""
    window = diagnosis.window
    whole = DiagnosisRow(
        window.end_ns,
        diagnosis_id=diagnosis_id,
        start_ns=window.start_ns,
        healthy=diagnosis.healthy,
        verdict=diagnosis.verdict,
        unknown="; ".join(diagnosis.unknown)[:LONGEST_TEXT] or None,
    )
    if not diagnosis.findings:
        yield whole
    for rank, finding in enumerate(findings, 1):
        yield msgspec.structs.replace(
            whole,
            rank=rank,
            fault=finding.fault,
            culprit_kind=finding.culprit.kind,
            culprit=finding.culprit.id,
            culprit_name=finding.culprit.name,
            confidence=finding.confidence,
            onset_ns=finding.onset_ns,
            victims=", ".join(f"{one.name} ({one.id})" for one in finding.victims) or None,
            outlook=finding.outlook or None,
            finding=_encoded(finding),
        )


def in_short(row: DiagnosisRow) -> str:
    """What a row says, in a line."""
    if row.fault:
        return f"{row.fault} by {row.culprit_kind} {row.culprit_name} ({row.culprit})"
    return "healthy" if row.verdict == "healthy" else f"not known: {row.unknown}"


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
    """Knows what was written down already, and under which name: a finding that goes on is not written every time."""

    def __init__(self) -> None:
        self._names: dict[tuple[object, ...], str] = {}
        self._verdict: Answer | None = None

    def of(self, diagnosis: Diagnosis, diagnosis_id: str) -> list[DiagnosisRow]:
        """The rows that a diagnosis adds: of findings that were not there at the last look, or of another verdict."""
        new = [finding for finding in diagnosis.findings if _key(finding) not in self._names]
        changed = self._verdict != diagnosis.verdict
        self._names = {_key(one): self._names.get(_key(one), diagnosis_id) for one in diagnosis.findings}
        self._verdict = diagnosis.verdict
        return list(rows_of(diagnosis, diagnosis_id, new)) if new or changed else []

    def name_of(self, finding: Finding) -> str:
        """Under which name a finding of the last look is written down."""
        return self._names[_key(finding)]


def _key(finding: Finding) -> tuple[object, ...]:
    return finding.fault, finding.culprit
