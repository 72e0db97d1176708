"""Whose part this process is: collectors say it, so that a diagnosis knows our own processes by their pids."""

from __future__ import annotations

import os

SUPERVISOR = "KERNELSIGHT_SUPERVISOR"
"""Environment variable in which a supervisor tells its parts its pid."""


def supervisor() -> int | None:
    """Pid of the supervisor that this process is a part of; None where it has none, or its parent has died."""
    parent = os.getppid()
    return parent if os.environ.get(SUPERVISOR) == str(parent) else None
