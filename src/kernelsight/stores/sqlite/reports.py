"""What collectors say of themselves, folded into the ``collectors`` table beside the accounts of their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Kind
from kernelsight.stores.base import Row, Value
from kernelsight.stores.sqlite.connect import integer

_FOLD = """INSERT INTO collectors (kind, name, source, status, reason, lost, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind) DO UPDATE SET name = excluded.name, source = excluded.source, status = excluded.status,
    reason = excluded.reason, lost = lost + excluded.lost, updated_at = excluded.updated_at"""

_LAST = "SELECT lost FROM collector_reports WHERE name IS ? AND source IS ? ORDER BY timestamp DESC LIMIT 1"

Source = tuple[Value, Value]
"""Name and source of a collector: what counts its losses from zero when it starts."""


class Reports:
    """The last report of each collector, to tell what it has lost since."""

    def __init__(self, connection: apsw.Connection, kinds: Mapping[str, Kind]) -> None:
        self._connection = connection
        self._kinds = kinds
        self._lost: dict[Source, int] = {}

    def fold(self, rows: Sequence[Row], now_ns: int) -> dict[Source, int]:
        """Fold reports into the books, before their rows are inserted; within a transaction.

        Returns:
            what each collector has lost by now, for :meth:`committed`.
        """
        counted: dict[Source, int] = {}
        for row in rows:
            report = dict(zip(CollectorReport.__struct_fields__, row, strict=False))
            source = report.get("name"), report.get("source")
            lost = report.get("lost")
            lost = lost if isinstance(lost, int) else 0
            before = counted[source] if source in counted else self._known(source)
            counted[source] = lost
            delta = lost - before if lost >= before else lost  # it was restarted
            said = (*source, report.get("status"), report.get("reason"), delta, now_ns)
            self._connection.executemany(_FOLD, [(kind, *said) for kind in self._fed(report)])
        return counted

    def committed(self, counted: Mapping[Source, int]) -> None:
        """What :meth:`fold` returned is now stored."""
        self._lost.update(counted)

    def _known(self, source: Source) -> int:
        if source not in self._lost:
            return integer(self._connection, _LAST, source) or 0
        return self._lost[source]

    def _fed(self, report: Mapping[str, Value]) -> list[str]:
        """The kinds that a collector feeds: those it names, or the one of its own name."""
        named = report.get("kinds") or report.get("name")
        return [kind for kind in str(named).split(",") if kind in self._kinds]
