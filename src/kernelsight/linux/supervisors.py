"""Programs that start services, and start them again when they end."""

from __future__ import annotations

import signal

_OF_CONTAINERS = frozenset({"containerd-shim", "conmon", "crun", "runc", "docker-init", "kubelet", "dockerd"})
_NAMES = _OF_CONTAINERS | {
    "systemd", "init", "openrc-run", "supervise-daemo", "supervisord", "runsv", "s6-supervise", "s6-svscan", "monit",
    "circusd", "tini", "dumb-init", "catatonit", "nomad", "PM2", "upstart", "perpd",
}  # fmt: skip
"""As the kernel shows them: the first 15 bytes."""

DEFECTS = frozenset(
    {
        signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP,
    }
)  # fmt: skip
"""Signals by which a process ends for what it did itself (signal(7))."""
FROM_OUTSIDE = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE})
"""Signals by which others end a process as they mean to: clean ends, as systemd sees it (systemd.service(5))."""
SHELL_SIGNAL = 128
"""What a shell, and a runtime that handles a signal, adds to the signal to make a status of it (sh(1))."""
CANNOT_RUN = frozenset({126, 127, 203})
"""Status of a child that could not execute its program: of a shell (sh(1)), and of systemd (systemd.exec(5))."""


def is_supervisor(comm: str) -> bool:
    """Whether a parent, by its name, is one that starts services again."""
    return comm in _NAMES or comm.startswith("PM2 ")


def runs_containers(comm: str) -> bool:
    """Whether a parent, by its name, is the supervisor of a container."""
    return comm in _OF_CONTAINERS


def ended_from_outside(exit_status: int | None, exit_signal: int | None) -> bool:
    """Whether a process was ended as somebody else meant to: stopped, restarted, interrupted at its terminal."""
    return exit_signal in FROM_OUTSIDE or (exit_status or 0) - SHELL_SIGNAL in FROM_OUTSIDE


def signal_name(number: int) -> str:
    """Such as SIGSEGV; of a number without a name, `signal 40`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
