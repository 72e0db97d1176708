"""The process that keeps signals up with the events."""

from __future__ import annotations

import threading
from collections.abc import Callable

from kernelsight.errors import StoreError, StoreVersionError
from kernelsight.events.signal import Signal
from kernelsight.signals.live import Keeper

Say = Callable[[str], None]


def watch(url: str, every_s: float, stop: threading.Event, say: Say | None = None) -> None:
    """Look again and again until told to stop, and once more then.

    Args:
        url: the store; where there is none yet, it is waited for.
        every_s: between two looks; one that could not take everything at once is followed by the next immediately.
        stop: set when it is to end.
        say: told what begins, becomes worse and is over.

    Raises:
        StoreError: the store cannot be read or written.
    """
    keeper = _when_there(url, every_s, stop)
    if keeper is None:
        return
    known: dict[tuple[int, str | None, str | None], str] = {}
    with keeper:
        while True:
            last = stop.is_set()
            for one in keeper.look(patience_ns=0 if last else None):
                if say is not None:
                    _tell(one, known, say)
            if last:
                return
            stop.wait(0 if keeper.behind_ns else every_s)


def _when_there(url: str, every_s: float, stop: threading.Event) -> Keeper | None:
    while not stop.is_set():
        try:
            return Keeper(url)
        except StoreVersionError:
            raise
        except StoreError:
            stop.wait(min(every_s, 1.0))  # not made or not migrated yet; if it cannot be, the daemon says why
    return None


def _tell(one: Signal, known: dict[tuple[int, str | None, str | None], str], say: Say) -> None:
    key = one.timestamp, one.rule, one.entity
    state = "over" if one.end_ns is not None else str(one.severity)
    if known.get(key) != state:
        say(f"{state}: {one.rule}: {one.summary}")
    known[key] = state
    if one.end_ns is not None:
        del known[key]
