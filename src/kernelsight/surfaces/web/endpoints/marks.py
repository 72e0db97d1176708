"""What happened when: signals, anomalies and findings as marks on the time axis."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from kernelsight.anomalies.stored import stored
from kernelsight.diagnosis.naming import plain
from kernelsight.events.action import DiagnosisRow
from kernelsight.events.anomaly import Anomaly
from kernelsight.printable import printable
from kernelsight.query.filters import Filter
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.signals.run import stored_signals
from kernelsight.stores.base import Reader
from kernelsight.surfaces.web.desk import Desk
from kernelsight.surfaces.web.endpoint import endpoint
from kernelsight.surfaces.web.headline import incident_path
from kernelsight.surfaces.web.span import From, To, span

_MOST = 500
_RANK = {"critical": 0, "warning": 1, "info": 2}
_AROUND_NS = 30 * 10**9


class MarksAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which range."""

    since: From = "15m"
    until: To = "now"
    most: Annotated[int, msgspec.Meta(description="At most so many, the gravest.", ge=1, le=_MOST)] = 200


class Mark(msgspec.Struct, kw_only=True):
    """Something that happened."""

    sort: Literal["signal", "anomaly", "finding"]
    severity: Literal["info", "warning", "critical"]
    start_ns: int
    end_ns: int | None
    """Null: it goes on."""
    text: str
    """One sentence, with names that anybody may have chosen."""
    path: str
    """The page of the incident about its beginning."""


class Marks(msgspec.Struct, kw_only=True):
    """What happened, by time."""

    marks: list[Mark]
    left_out: int
    """Less grave ones that are not listed."""


@endpoint("/api/marks")
def marks(desk: Desk, asked: MarksAsked) -> Marks:
    """List the signals, anomalies and findings of a range."""
    when = span(asked.since, asked.until)
    with desk.reader() as reader:
        found = [*findings(reader, when), *_signals(reader, when), *_anomalies(reader, when)]
    found.sort(key=lambda mark: (_RANK[mark.severity], mark.sort != "finding", -mark.start_ns))
    kept = sorted(found[: asked.most], key=lambda mark: mark.start_ns)
    return Marks(marks=kept, left_out=len(found) - len(kept))


def _about(start_ns: int) -> str:
    return incident_path(start_ns - _AROUND_NS, start_ns + _AROUND_NS)


def _signals(reader: Reader, when: TimeRange) -> list[Mark]:
    return [
        Mark(
            sort="signal",
            severity=signal.severity or "info",
            start_ns=signal.timestamp,
            end_ns=signal.end_ns,
            text=printable(signal.summary or signal.rule or ""),
            path=_about(signal.timestamp),
        )
        for signal in stored_signals(reader, when.start_ns, when.end_ns)
    ]


def _anomalies(reader: Reader, when: TimeRange) -> list[Mark]:
    return [
        Mark(
            sort="anomaly",
            severity="info",
            start_ns=anomaly.timestamp,
            end_ns=anomaly.end_ns,
            text=printable(_told(anomaly)),
            path=_about(anomaly.timestamp),
        )
        for anomaly in stored(reader, when.start_ns, when.end_ns)
    ]


def _told(anomaly: Anomaly) -> str:
    of = f" of {anomaly.entity}" if anomaly.entity else ""
    return f"{anomaly.table_name}.{anomaly.metric}{of}: {anomaly.kind} {anomaly.direction or ''}".rstrip()


def findings(reader: Reader, when: TimeRange) -> list[Mark]:
    """What the agent found in a range, by time."""
    rows = stored_rows(reader, DiagnosisRow, when, where=[Filter(DiagnosisRow.fault, "!=", None)], limit=_MOST)
    return [
        Mark(
            sort="finding",
            severity="critical",
            start_ns=row.onset_ns or row.timestamp,
            end_ns=row.timestamp,
            text=printable(f"{plain(row.fault or '').capitalize()} by {row.culprit_name} ({row.culprit})"),
            path=incident_path(row.start_ns or row.timestamp - 2 * _AROUND_NS, row.timestamp),
        )
        for row in rows
    ]
