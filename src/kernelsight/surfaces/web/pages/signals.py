"""Signals and anomalies."""

from collections.abc import Mapping
from typing import Any

from kernelsight.anomalies.stored import incidents, stored
from kernelsight.moments import to_second
from kernelsight.query.rows import Row
from kernelsight.signals.run import stored_signals
from kernelsight.surfaces.web.headline import incident_path
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Table, amount, text

_MOST = 200
_AROUND_NS = 30 * 10**9


def _began(row: Row) -> int:
    at = row["timestamp"]
    assert isinstance(at, int)
    return at


def _about(at_ns: int) -> str:
    return incident_path(at_ns - _AROUND_NS, at_ns + _AROUND_NS)


def _context(visit: Visit) -> Mapping[str, Any]:
    start, end = visit.when.start_ns, visit.when.end_ns
    with visit.desk.reader() as reader:
        signals = stored_signals(reader, start, end)[-_MOST:]
        anomalies = incidents(stored(reader, start, end))[-_MOST:]
    told = [
        [
            text(to_second(signal.timestamp), _about(signal.timestamp)),
            text(signal.severity, css=f"severity {signal.severity or 'info'}"),
            text(signal.summary),
            text(signal.rule),
            text(to_second(signal.end_ns) if signal.end_ns else "goes on"),
        ]
        for signal in reversed(signals)
    ]
    odd = [
        [
            text(row["time"], _about(_began(row))),
            text(row["series"]),
            text(row["kind"]),
            amount(row["value"], str(row["unit"] or "")),
            amount(row["low"], str(row["unit"] or "")),
            amount(row["high"], str(row["unit"] or "")),
            amount(row["score"]),
            text(row["others"]),
        ]
        for row in reversed(anomalies)
    ]
    return {
        "tables": [
            Table("Signals", "Named symptoms, by rules.", ("Began", "Severity", "What", "Rule", "Ended"), told),
            Table(
                "Anomalies",
                "Series that left what is usual for them, with those that did so together.",
                ("Began", "Series", "Kind", "Value", "Usual from", "to", "Score", "With it"),
                odd,
            ),
        ]
    }


page(Page("signals", "Signals and anomalies", "/signals", "tables_first.html", context=_context, rank=10))
