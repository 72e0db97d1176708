"""Runs a program in a network namespace of its own, which ends with the program and all that it set up there."""

import shutil
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def in_own_network(program, *arguments):
    """The command for it."""
    for needed in ("unshare", "ip", "nft"):
        if shutil.which(needed) is None:
            pytest.skip(f"needs {needed} to lose packets in a network namespace of its own")
    return ["unshare", "--net", sys.executable, str(PROGRAMS / program), *arguments]
