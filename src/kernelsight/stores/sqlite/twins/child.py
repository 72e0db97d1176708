"""The process that makes twins, as the writer of the database sees it: started when some are due, never waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

_PAUSE_S = 60.0
"""Between the end of one and the start of the next, except where the backlog is long."""
_END_S = 10.0


class TwinMaker:
    """Starts the process; at most one at a time."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at: float | None = None

    def tend(self, *, due: bool) -> list[str]:
        """Start it where twins are due and none runs; look after one that has ended.

        Returns:
            why the last one could not do its work, for a person.
        """
        said = self._look()
        if self._process is None and due and self._may_start():
            # -m would import the package again as a script; -P keeps the working directory out of the path.
            command = [sys.executable, "-P", "-m", "kernelsight.stores.sqlite.twins.worker", str(self._database)]
            try:
                self._process = subprocess.Popen(
                    [*command, str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            except OSError as error:  # a fence, or no memory or process left: rows stay where they are
                self._ended_at = time.monotonic()
                said.append(f"columnar twins are not made: {sys.executable} cannot be started: {error.strerror}")
        return said

    def _may_start(self) -> bool:
        return self._ended_at is None or time.monotonic() - self._ended_at >= _PAUSE_S

    def _look(self) -> list[str]:
        if self._process is None or self._process.poll() is None:
            return []
        process, self._process = self._process, None
        self._ended_at = time.monotonic()
        _, errors = process.communicate()
        lines = errors.decode(errors="replace").strip().splitlines()
        return [f"columnar twins are not made: {lines[-1][:500]}"] if process.returncode and lines else []

    def close(self) -> None:
        """End one that runs; what it has not finished is made another time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._process = None
