"""The incidents that are in a store: one row each, named by its strongest series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelsight.events.anomaly import Anomaly
from kernelsight.events.declare import kind_of
from kernelsight.moments import format_time
from kernelsight.query.presence import STEADY, is_silent_after, last_row
from kernelsight.query.rows import Row, event_of, rows, with_time
from kernelsight.query.source import Source
from kernelsight.query.times import Time, TimeRange

_MOST_NAMED = 5


def stored(source: Source, start: Time, end: Time = "now") -> list[Anomaly]:
    """The anomalies of a range as they were written last, in the order of their incidents, the strongest first.

    Raises:
        UsageError: no such time.
        StoreError: the store cannot be read.
    """
    anomalies: dict[tuple[object, ...], Anomaly] = {}
    for row in rows(source, kind_of(Anomaly).table, start, end):
        anomaly = event_of(Anomaly, row)
        key = (anomaly.timestamp, anomaly.table_name, anomaly.metric, anomaly.entity)
        if key not in anomalies or anomalies[key].end_ns is None:
            anomalies[key] = anomaly
    return sorted(
        anomalies.values(), key=lambda anomaly: (anomaly.incident or anomaly.timestamp, -(anomaly.score or 0.0))
    )


def incidents(anomalies: Iterable[Anomaly], silent_after_ns: int | None = None) -> list[Row]:
    """One row an incident: when, how strong, its strongest series with its values, and which others.

    Args:
        anomalies: those of the incidents.
        silent_after_ns: when the last row was recorded, if that is too long ago to know what is still open.
    """
    groups: dict[int, list[Anomaly]] = {}
    for anomaly in anomalies:
        groups.setdefault(anomaly.incident or anomaly.timestamp, []).append(anomaly)
    return [_incident(onset, sorted(group, key=_strongest), silent_after_ns) for onset, group in groups.items()]


def _strongest(anomaly: Anomaly) -> float:
    return -(anomaly.score or 0.0)


def silence(source: Source, when: TimeRange) -> int | None:
    """When the last row of a range was recorded, where that leaves a part at its end of which nothing is known."""
    last_ns = last_row(source, STEADY, TimeRange(0, when.end_ns))
    return last_ns if last_ns is not None and is_silent_after(last_ns, when) else None


def _incident(onset: int, group: Sequence[Anomaly], silent_after_ns: int | None) -> Row:
    first = group[0]
    ends = [anomaly.end_ns for anomaly in group]
    end = None if None in ends else max(end for end in ends if end is not None)
    still = "open" if silent_after_ns is None else f"nothing recorded after {format_time(silent_after_ns)}"
    others = [f"{anomaly.table_name}.{anomaly.metric}" for anomaly in group[1:]]
    named = list(dict.fromkeys(others))[:_MOST_NAMED]
    row: Row = {
        "timestamp": onset,
        "end": still if end is None else format_time(end),
        "end_ns": end,
        "score": first.score,
        "series": f"{first.table_name}.{first.metric}" + (f" {first.entity}" if first.entity else ""),
        "kind": f"{first.kind} {first.direction}" if first.direction else first.kind,
        "value": first.value,
        "low": first.low,
        "high": first.high,
        "unit": first.unit,
        "count": len(group),
        "others": ", ".join(named) + (" …" if len(set(others)) > len(named) else "") or None,
    }
    return with_time(row)
