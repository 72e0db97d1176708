"""``python -m kernelsight.surfaces.supervisor.child PARENT COMMAND…``: a command that ends with its supervisor.

The kernel sends SIGTERM when the parent dies, however it dies (prctl(2), PR_SET_PDEATHSIG), so that
nothing is left running after ``kill -9`` of the supervisor either.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from kernelsight.surfaces.cli.main import main as command_line

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to its parent, then be the command."""
    parent, *command = argv
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    # The parent may have died before the call above.
    if os.getppid() != int(parent):
        raise SystemExit(1)
    command_line(command, prog_name="kernelsight")


if __name__ == "__main__":
    main(sys.argv[1:])
