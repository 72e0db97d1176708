"""``python -m kernelsight.surfaces.supervisor.child PARENT SIGNAL RIGHTS COMMAND…``: a command of a supervisor.

The kernel sends it SIGNAL (none if 0) when the parent dies, however it dies (prctl(2), PR_SET_PDEATHSIG),
so that nothing is left running after ``kill -9`` of the supervisor either.

RIGHTS is `all`, or `files`: then, where root started it, only the capabilities are kept that root
needs to write into the directories of others, where the database may well be.
"""

from __future__ import annotations

import ctypes
import os
import sys

from kernelsight.collectors.privileges import FILES, keep_only
from kernelsight.collectors.supervised import SUPERVISOR
from kernelsight.surfaces.cli.main import main as command_line

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to its parent, give up what it does not need, then be the command."""
    parent, on_death, rights, *command = argv
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(on_death), 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    # The parent may have died before the call above.
    if os.getppid() != int(parent):
        raise SystemExit(1)
    os.environ[SUPERVISOR] = parent
    if rights != "all":
        keep_only(FILES)
    command_line(command, prog_name="kernelsight")


if __name__ == "__main__":
    main(sys.argv[1:])
