"""Being there in time on a machine that is not: a CPU when the grid says so, and room for what nobody reads yet."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

_PIPE_BYTES = 1 << 20
"""About half a minute of what collectors say on a busy machine; the most that anybody may ask for by default."""


def come_first() -> bool:
    """Run before ordinary tasks, as a real-time task of the lowest priority; False where that is not allowed.

    Fair scheduling is fair between groups (sessions, control groups), whatever the nice value, and has let a
    collector wait for half a minute beside two tasks that wake each other 300,000 times a second: just when
    somebody wants to know why. The collectors take a hundredth of a CPU and sleep in between. What they start
    is ordinary again (sched(7)).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return False
    return True


def make_room(output: int) -> None:
    """Let a pipe hold what is written while its reader waits for a CPU; anything else is left as it is."""
    with suppress(OSError):  # no pipe, or its owner has too many of them
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
