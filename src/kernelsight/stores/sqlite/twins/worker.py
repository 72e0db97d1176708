"""The program of the process that makes twins: ``python -m kernelsight.stores.sqlite.twins.worker DATABASE PARENT``."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from kernelsight import parent_death
from kernelsight.errors import KernelSightError, StoreBusyError
from kernelsight.stores.sqlite.twins.work import make_twins

_LONGEST_S = 600.0
"""So that its memory is given back, and a new version's program takes over."""


def main() -> int:
    """Make the twins that are due; 0 also where another process does so."""
    database, parent = sys.argv[1:]
    parent_death.follow(int(parent), signal.SIGTERM)
    os.nice(19)
    ends_at = time.monotonic() + _LONGEST_S
    try:
        make_twins(Path(database), until=lambda: time.monotonic() >= ends_at)
    except StoreBusyError:
        return 0
    except KernelSightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
