"""Connections that the other side has closed, and whose owner does not close them (CLOSE_WAIT, RFC 9293)."""

from __future__ import annotations

from collections.abc import Sequence

from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, Window
from kernelsight.events.process import SocketOwner
from kernelsight.signals.rules.tcp import UNCLOSED_SOCKETS

LEAST_UNCLOSED = Threshold(
    UNCLOSED_SOCKETS / 10,
    "connections",
    because="judged: a busy server is a few behind, each for a moment; a leak leaves them all. A tenth of what the "
    "signal `unclosed_connections` tells at",
)
CLOSING_S = Threshold(
    2.0, "s", because="judged: a program that reads the end of a connection closes it at once, at the latest after work"
)


def unclosed(window: Window) -> Sequence[Sequence[SocketOwner]]:
    """The samples of each process with whom such connections pile up. Use with :meth:`Window.once`."""
    return [rows for rows in window.series(SocketOwner).values() if _pile_up(rows)]


def first_unclosed(rows: Sequence[SocketOwner]) -> SocketOwner:
    """The first sample of a process with such a connection; only where there is one."""
    return next(row for row in rows if (row.close_wait or 0) > 0)


def _pile_up(rows: Sequence[SocketOwner]) -> bool:
    """Whether many wait to be closed at the end, and some have for longer than closing takes."""
    if (rows[-1].close_wait or 0) < LEAST_UNCLOSED:
        return False
    return len(rows) == 1 or rows[-1].timestamp - first_unclosed(rows).timestamp >= CLOSING_S * NS_PER_S
