"""The file that a database is in, from what a person names."""

from __future__ import annotations

import os
from pathlib import Path

from kernelsight.errors import StoreError


def database_path(db_path: str | os.PathLike[str]) -> Path:
    """The file that ``--db-path`` names, links followed, so that one file has one lock.

    Raises:
        StoreError: it names something that cannot be one.
    """
    url = os.fspath(db_path)
    if not url or url == ":memory:":
        raise StoreError(f"--db-path {url!r}: name a file; telemetry in memory would be seen by one process only")
    try:
        url.encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"--db-path {url!r}: SQLite opens only files whose names are UTF-8") from error
    try:
        path = Path(url).expanduser().resolve()
        is_folder, is_other = url.endswith("/") or path.is_dir(), path.exists() and not path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, with a NUL, of an unknown ~user
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise StoreError(f"--db-path {url!r}: {why}; name a file") from error
    if is_folder:
        raise StoreError(f"{path}: is a directory; name a file in it")
    if is_other:
        raise StoreError(f"{path}: is not an ordinary file; name one")
    return path
