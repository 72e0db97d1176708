"""The verdict that the agent gave last, in one line for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelsight.events.action import Answer, DiagnosisRow
from kernelsight.events.declare import kind_of
from kernelsight.moments import to_second
from kernelsight.printable import printable
from kernelsight.stores.base import Reader

_COLUMNS = (
    "timestamp, diagnosis_id, verdict, unknown, muted, fault, culprit, culprit_name, confidence, onset_ns, rank, "
    "sentence"
)
_MOST = 20
"""Findings of one diagnosis that are shown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One of the three answers, and what there is to say of it."""

    answer: Answer
    text: str


def latest(reader: Reader, since_ns: int, until_ns: int | None = None) -> Verdict | None:
    """The verdict that came last, of those since a moment; the agent stores one when it changes.

    Args:
        reader: the store.
        since_ns: when to begin (ns since the epoch).
        until_ns: when to end; None: with the last one.

    Returns:
        None where the agent has not answered since then.
    """
    relation, params = reader.relation(kind_of(DiagnosisRow).table, since_ns, until_ns)
    sql = f"SELECT {_COLUMNS} FROM {relation} ORDER BY id DESC LIMIT {_MOST}"  # noqa: S608 - made by the store
    rows: list[Mapping[str, Any]] = [*reader.query(sql, params)]
    if not rows:
        return None
    newest = [row for row in rows if row["diagnosis_id"] == rows[0]["diagnosis_id"]]
    newest.sort(key=lambda row: row["rank"] or 0)
    since = to_second(int(newest[0]["timestamp"]))
    muted = newest[0]["muted"]
    but = f", but for what is muted: {muted}" if muted else ""
    if newest[0]["verdict"] == "findings":
        return Verdict("findings", printable("; ".join(map(_finding, newest)) + but))
    if newest[0]["verdict"] == "healthy":
        return Verdict("healthy", printable(f"Healthy since {since}{but or ': nobody suffers'}"))
    return Verdict("unknown", printable(f"Not known at {since}: {newest[0]['unknown']}{but}"))


def _finding(row: Mapping[str, Any]) -> str:
    if row["sentence"]:
        return str(row["sentence"]).removesuffix(".")
    culprit = (
        row["culprit_name"] if row["culprit_name"] == row["culprit"] else f"{row['culprit_name']} ({row['culprit']})"
    )
    onset = f" since {to_second(int(row['onset_ns']))}" if row["onset_ns"] else ""
    sure = f", {row['confidence']:.0%} sure" if row["confidence"] is not None else ""
    return f"{row['fault']} by {culprit}{onset}{sure}"
