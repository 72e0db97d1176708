"""Events from other processes than the writer: files in a folder beside the database, which the writer takes.

A store has one writer. Who else has something to record (the agent: what it did and why) drops it
here, whole and on disk before :func:`drop` returns; the writer stores it within a second, and removes
the file once it is committed. After a crash between the two the file is stored again, so who reads
such records must not mind one that is there twice. A file that cannot be taken is set aside, with the reason
beside it, so that the writer does not meet it again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path

from kernelsight.errors import StoreError
from kernelsight.events.declare import Event
from kernelsight.events.wire import encode_lines

_SUFFIX = ".ndjson"
_ASIDE = "rejected"
_NUMBER = count()


def inbox(db_path: str | os.PathLike[str]) -> Path:
    """The folder that belongs to a database file."""
    path = Path(db_path).expanduser().resolve()
    return path.with_name(f"{path.name}.inbox")


def drop(db_path: str | os.PathLike[str], events: Iterable[Event]) -> Path:
    """Leave events for the writer; when this returns they survive a crash of the machine.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    folder = inbox(db_path)
    try:
        owner = folder.parent.stat()
        if not folder.exists():
            folder.mkdir(mode=0o700)
            _give(folder, owner)
        path = folder / f"{time.time_ns():020d}-{os.getpid()}-{next(_NUMBER)}{_SUFFIX}"
        new = path.with_suffix(".new")
        with new.open("xb") as file:
            file.write(encode_lines(events))
            file.flush()
            os.fsync(file.fileno())
        _give(new, owner)
        new.rename(path)
        _sync(folder)
    except OSError as error:
        raise StoreError(f"{folder}: nothing can be left there for the writer: {error.strerror}") from error
    return path


def waiting(db_path: str | os.PathLike[str]) -> list[Path]:
    """The files that have not been taken yet, the oldest first."""
    folder = inbox(db_path)
    try:
        names = os.listdir(folder)  # noqa: PTH208 - once a second, for years
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name.endswith(_SUFFIX)]


def set_aside(path: Path, reason: str) -> Path:
    """Move a file of the inbox to its folder of rejected files, with the reason beside it.

    Returns:
        where it is now.

    Raises:
        OSError: it cannot be moved.
    """
    folder = path.parent / _ASIDE
    folder.mkdir(mode=0o700, exist_ok=True)
    aside = folder / path.name
    path.rename(aside)
    with suppress(OSError):  # the reason is in the books too; the file must not be met again
        aside.with_name(f"{path.name}.reason").write_text(f"{reason}\n", encoding="utf-8", errors="backslashreplace")
    return aside


def _give(path: Path, owner: os.stat_result) -> None:
    """What root leaves belongs to whoever has the folder of the database, who has to remove it."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
