"""A store with nothing in it, to copy: making its tables takes longer than most of what tests do with one."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from kernelsight.ingest import daemon


@cache
def empty_store() -> bytes:
    """The bytes of the file; a daemon that has ended leaves everything in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        daemon.init(str(path))
        return path.read_bytes()
