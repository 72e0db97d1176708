"""Stop the system that writes to a database: everything that it has collected is stored first.

It ends `kernelsight start`, or the daemon alone where only that runs, as Ctrl-C does, and waits until it has ended.
Exit status 1: nothing writes to the database, or it has not ended in time.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import click

from kernelsight.errors import KernelSightError
from kernelsight.stores.base import store
from kernelsight.surfaces.cli.command import Command, db_path_option, examples, seconds


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option(
    "--wait",
    type=float,
    callback=seconds(),
    default=90.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take.",
)
@examples(
    "kernelsight stop",
    "sudo kernelsight stop --db-path /var/lib/kernelsight/kernelsight.db",
)
def stop(*, db_path: str, wait: float) -> None:
    """Stop it."""
    if not store(db_path).exists():
        raise KernelSightError(f"{db_path}: there is no such database, so nothing writes to it")
    writer = store(db_path).writer_pid()
    if writer is None:
        raise KernelSightError(f"{db_path}: nothing writes to it")
    pid = _to_stop(writer)
    _end(pid, wait)
    click.echo(f"stopped process {pid}; what it had collected is in {db_path}")


def _to_stop(writer: int) -> int:
    """The supervisor of the daemon that writes, or the daemon.

    Raises:
        KernelSightError: it is neither.
    """
    if "ingest" not in _words(writer):
        raise KernelSightError(f"process {writer} writes to the database and is no daemon of ours; end it yourself")
    parent = _parent(writer)
    return parent if "start" in _words(parent) else writer


def _end(pid: int, wait_s: float) -> None:
    """Tell a process to end, and wait; by its handle, so that no other one with its pid is meant."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], wait_s)[0]:
            raise KernelSightError(f"process {pid} has not ended within {wait_s:g} s; it may still be storing events")
    except PermissionError as error:
        raise KernelSightError(f"process {pid} is another user's; use sudo") from error
    finally:
        os.close(handle)


def _words(pid: int) -> list[str]:
    """The command line of a process of ours: what stands behind the program's name; empty for others."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
    return words if any("kernelsight" in word for word in words) else []


def _parent(pid: int) -> int:
    try:
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
    except (OSError, IndexError, ValueError):
        return 0
