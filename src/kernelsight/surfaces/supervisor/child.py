"""``python -m kernelsight.surfaces.supervisor.child PARENT SIGNAL COMMAND…``: a command of a supervisor.

The kernel sends it SIGNAL (none if 0) when the parent dies, however it dies (prctl(2), PR_SET_PDEATHSIG),
so that nothing is left running after ``kill -9`` of the supervisor either. What a command does not need of root's
power it gives up itself (:mod:`kernelsight.surfaces.unprivileged`).
"""

from __future__ import annotations

import os
import sys

from kernelsight.collectors.supervised import SUPERVISOR
from kernelsight.parent_death import follow
from kernelsight.surfaces.cli.main import main as command_line


def main(argv: list[str]) -> None:
    """Tie this process to its parent, give up what it does not need, then be the command."""
    parent, on_death, *command = argv
    follow(int(parent), int(on_death))
    os.environ[SUPERVISOR] = parent
    command_line(command, prog_name="kernelsight")


if __name__ == "__main__":
    main(sys.argv[1:])
