"""What a service manager is told: that a part is ready, that it goes on, that it ends (sd_notify(3)).

The protocol is one datagram to the socket that `NOTIFY_SOCKET` names; without one, nothing happens. Every loop says
:func:`alive` in each turn, so that a part that hangs is started again where its unit has a watchdog.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

_LEAST_S = 1.0
"""Between two messages: a loop may turn a thousand times a second."""

_last_s: float | None = None


def alive() -> None:
    """Say that this process is ready, the first time, and that it goes on."""
    global _last_s  # noqa: PLW0603 - it is of the process, as the socket is
    if "NOTIFY_SOCKET" not in os.environ:
        return
    now_s = time.monotonic()
    if _last_s is None:
        _send(b"READY=1\nWATCHDOG=1")
    elif now_s - _last_s < _LEAST_S:
        return
    else:
        _send(b"WATCHDOG=1")
    _last_s = now_s


def stopping() -> None:
    """Say that this process ends by itself, or as it was told to."""
    if "NOTIFY_SOCKET" in os.environ:
        _send(b"STOPPING=1")


def not_for_children(environment: dict[str, str]) -> dict[str, str]:
    """An environment for a process that must not speak for this one."""
    return {name: value for name, value in environment.items() if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}


def _send(message: bytes) -> None:
    path = os.environ["NOTIFY_SOCKET"]
    if path.startswith("@"):
        path = "\0" + path[1:]  # in the abstract namespace
    # A manager that is gone, or full, is no reason to end.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(message, path)
