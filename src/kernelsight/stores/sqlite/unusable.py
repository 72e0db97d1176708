"""Why a database file cannot be written or read, in the words of the system call that failed, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import apsw

_LEAST_FREE_BYTES = 1 << 20
"""With less than this free, what cannot be written cannot be written for want of space."""
_ENOSPC = "the disk is full; make room on its file system, and the daemon goes on by itself"
_EROFS = "its file system is mounted read-only; `mount -o remount,rw` it, and look for the reason in `dmesg`"
_EACCES = "this user may not write to it or to its directory; get the permission, or name another file"
_LOOK = "read `dmesg`, and copy the file elsewhere"
_ADVICE: Mapping[int, str] = {
    errno.ENOSPC: _ENOSPC,
    errno.EROFS: _EROFS,
    errno.EIO: f"the disk fails to read or write it (EIO); {_LOOK}",
    errno.EDQUOT: "the quota of this user is used up (EDQUOT); remove files or ask for more",
    errno.EFBIG: "the file may not grow larger (EFBIG); raise the limit of the size of files (`ulimit -f`)",
    errno.ESTALE: "the server of its file system does not know the file any more (ESTALE); mount the file system again",
}


def why_unusable(path: Path, error: apsw.Error, number: int = 0) -> str:
    """Why SQLite could not use a file, as the end of a sentence.

    SQLite tells kinds of failures apart, not their causes: a full disk is said to be an I/O error where a log or its
    index cannot grow, a file system that is mounted read-only is said to be a file that is. The file system is asked.

    Args:
        path: the database.
        error: CANTOPEN, READONLY, PERM, FULL or IOERR.
        number: errno of the system call that failed; 0: it is not known.
    """
    try:
        folder = os.statvfs(path.parent)
    except OSError as failure:
        return f"its directory cannot be looked at: {failure.strerror}; is it mounted?"
    is_read_only = folder.f_flag & os.ST_RDONLY and not _only_reads(error)
    if number == errno.EROFS or is_read_only or (isinstance(error, apsw.ReadOnlyError) and _takes_no_file(path.parent)):
        return f"cannot be written: {_EROFS}"
    if isinstance(error, apsw.FullError) or folder.f_bavail * folder.f_frsize < _LEAST_FREE_BYTES:
        return f"cannot be written: {_ENOSPC}"
    if isinstance(error, apsw.IOError):
        advice = _ADVICE.get(number, f"the disk fails, or a quota or a limit is reached; {_LOOK}")
        return f"cannot be written or read ({os.strerror(number) if number else error}): {advice}"
    if not path.exists():
        return f"cannot be opened ({error}): it does not exist, or its directory may not be searched"
    return f"{error}: {_EACCES}"


def _takes_no_file(folder: Path) -> bool:
    """Whether the file system says that it is read-only; after an error, ext4 says so to who writes, not to statvfs."""
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def _only_reads(error: apsw.Error) -> bool:
    """Whether what failed was reading, which a read-only file system allows."""
    return getattr(error, "extendedresult", 0) in {apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ}
