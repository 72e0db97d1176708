"""A look at the machine without a daemon: collect for some seconds into a store that is gone afterwards."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kernelsight.errors import SourceUnavailableError, StoreError
from kernelsight.events.wire import kinds
from kernelsight.query.source import extent, opened
from kernelsight.surfaces.supervisor.part import child

_LONGEST_END_S = 30.0
_SAMPLE_NS = 1_000_000_000
"""A sample tells of the time since the one before it, and is what there is until the next."""


@contextmanager
def collected(seconds: float, *arguments: str) -> Iterator[str]:
    """Collect for so long; give the path of the store.

    Args:
        seconds: how long.
        arguments: of `kernelsight collect`, such as names of collectors; by default all that can run here.

    Raises:
        SourceUnavailableError: no collector can run here.
        StoreError: the store could not be written.
    """
    with tempfile.TemporaryDirectory(prefix="kernelsight-") as folder:
        path = str(Path(folder) / "live.db")
        collect_into(path, seconds, *arguments)
        yield path


def collect_into(path: str, seconds: float, *arguments: str) -> None:
    """Collect for so long into a store, which is made where there is none.

    Args:
        path: of the store.
        seconds: how long.
        arguments: of `kernelsight collect`.

    Raises:
        SourceUnavailableError: no collector can run here.
        StoreError: the store could not be written.
    """
    collector = _start(
        child(["collect", *arguments, "--duration", str(seconds)], on_death=signal.SIGTERM),
        stdout=subprocess.PIPE,
    )
    daemon = _start(child(["ingest", "--db-path", path], on_death=None), stdin=collector.stdout)
    assert collector.stdout is not None
    collector.stdout.close()  # the daemon's alone now: it ends when the collectors do
    try:
        refused, failed = _ended(collector, seconds), _ended(daemon, 0)
    finally:
        for process in (collector, daemon):
            if process.poll() is None:
                process.terminate()
                process.wait(_LONGEST_END_S)
    if collector.returncode:
        raise SourceUnavailableError(f"the collectors could not run: {refused}")
    if daemon.returncode:
        raise StoreError(f"what was collected could not be stored: {failed}")


def recorded_time(path: str, start_ns: int, end_ns: int) -> tuple[int, int]:
    """The part of a time in which collectors were up: to come up and to end takes them a while, too."""
    with opened(path) as reader:
        known = extent(reader, (kind.table for kind in kinds().values() if kind.name != "collector"))
    if known is None:
        return start_ns, end_ns
    return max(start_ns, known.start_ns - _SAMPLE_NS), max(min(end_ns, known.end_ns + _SAMPLE_NS), start_ns)


def _start(command: list[str], stdin: IO[str] | int | None = None, stdout: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _ended(process: subprocess.Popen[str], seconds: float) -> str:
    """Wait for the end; the last line that it said."""
    _, said = process.communicate(timeout=seconds + _LONGEST_END_S)
    lines = said.strip().splitlines()
    return lines[-1] if lines else f"exit status {process.returncode}"
