"""What KernelSight itself says at the moment: findings of the last look of the agent, signals that go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kernelsight.events.action import DiagnosisRow
from kernelsight.events.signal import Signal
from kernelsight.query.filters import Filter
from kernelsight.query.stored import row_id, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader

_ALWAYS = TimeRange(0, 2**63 - 1)
_MOST = 1_000


def last_diagnosis(reader: Reader) -> Sequence[DiagnosisRow]:
    """The rows of the diagnosis that the agent wrote down last, best finding first; none where there is none.

    The agent writes a window down when its answer is another one than before: the last one holds until then.
    """
    newest = stored_rows(reader, DiagnosisRow, _ALWAYS, order_by=DiagnosisRow.timestamp, descending=True, limit=1)
    if not newest:
        return ()
    same = TimeRange(newest[0].timestamp, newest[0].timestamp)
    rows = stored_rows(reader, DiagnosisRow, same)
    return sorted(
        (row for row in rows if row.diagnosis_id == newest[0].diagnosis_id),
        key=lambda row: (row.rank or 0, row_id(row)),
    )


def signals_going_on(reader: Reader) -> Mapping[tuple[str, str], int]:
    """How many episodes go on, by rule and severity."""
    rows = stored_rows(reader, Signal, _ALWAYS, where=[Filter(Signal.end_ns, "=", None)], limit=_MOST)
    return Counter((str(row.rule), str(row.severity)) for row in rows)
