"""The one place where signals that mean "stop" are handled."""

from __future__ import annotations

import signal
import threading

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C, SIGTERM and the end of the terminal set, instead of ending the program at once."""
    stop = threading.Event()
    for number in STOP_SIGNALS:
        # What was ignored before, such as SIGHUP under nohup(1), stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop
