"""Files that nobody else can put in our way: opened by directory, never through a link, and looked at after opening.

A file is trusted when nobody but root and this user could have laid or can exchange it, or a directory above it. The
check is that of OpenSSH's `safe_path`, with two exceptions: a directory in which only owners may remove entries (the
sticky bit, as /tmp has), and a group that its owner shares with nobody (the private group of a user).
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernelsight import parent_death
from kernelsight.errors import KernelSightError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """While entered, root works with files as the user whose directory this is; other users as themselves.

    The effective user of the whole process changes, and is root again afterwards. So root never follows, makes or
    gives away by path anything that its owner could not.

    Raises:
        OSError: there is no such directory.
    """
    owner = directory.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group = os.getegid()
    with parent_death.kept():
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)


class UntrustedPathError(KernelSightError):
    """Somebody else could exchange a file; the message names what lets them, and how to forbid it."""


def open_directory(path: Path, *, mode: int | None = None) -> int:
    """Open a directory that only root and this user can change, and no link to one.

    Links above it are followed where only root and this user can have laid them.

    Args:
        path: the directory.
        mode: make it with this mode where it does not exist; its parent must exist.

    Returns:
        a descriptor, for the caller to close.

    Raises:
        UntrustedPathError: others may exchange it or what is in it.
        OSError: it cannot be opened or made.
    """
    if mode is not None:
        require_trusted_directory(path.parent)
        with suppress(FileExistsError):
            path.mkdir(mode=mode)
    require_trusted_directory(path, itself=True)
    return os.open(path, _DIRECTORY)


def read_text(path: Path, *, secret: bool = False) -> str:
    """The text of a file that only root and this user can have written, opened once and looked at after opening.

    A link to it is followed where only they can have laid that, too.

    Args:
        path: the file.
        secret: others must not be able to read it either.

    Raises:
        UntrustedPathError: somebody else could have written or can exchange it, or can read what is secret.
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    require_trusted_directory(path.parent)
    if path.is_symlink() and path.lstat().st_uid not in {0, os.geteuid()}:
        raise UntrustedPathError(f"{path}: is a link, laid by {_owner(path.lstat().st_uid)}; name where it leads to")
    real = path.resolve(strict=True)
    directory = open_directory(real.parent)
    try:
        fd = open_file(directory, real.name, real, os.O_RDONLY)
    finally:
        os.close(directory)
    with os.fdopen(fd, encoding="utf-8") as file:
        if secret and os.fstat(fd).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UntrustedPathError(f"{path}: others can read or change it; type: chmod 600 {path}")
        return file.read()


def require_trusted_directory(path: Path, *, itself: bool = False) -> None:
    """Check a directory and all above it.

    Args:
        path: the directory.
        itself: it must be a directory of this name, and no link to one.

    Raises:
        UntrustedPathError: others may exchange it or what is in it.
        OSError: it cannot be looked at.
    """
    if itself and path.is_symlink():
        raise UntrustedPathError(f"{path}: is a link, laid by {_owner(path.lstat().st_uid)}; remove it")
    absolute = path.absolute()
    for part in (absolute, *absolute.parents):
        if part.is_symlink() and part.lstat().st_uid not in {0, os.geteuid()}:
            raise UntrustedPathError(
                f"{part}: is a link, laid by {_owner(part.lstat().st_uid)}; name where it leads to"
            )
    real = path.resolve(strict=True)
    for folder in (real, *real.parents):
        _require_ours(folder, folder.stat())


def require_ours(status: os.stat_result, path: Path) -> None:
    """Check what stat(2) says of a file: an ordinary one of root or this user, with one name, not others' to write.

    Raises:
        UntrustedPathError: it is something else.
    """
    if stat.S_ISLNK(status.st_mode):
        raise UntrustedPathError(f"{path}: is a link; remove it, or name what it leads to")
    if not stat.S_ISREG(status.st_mode):
        raise UntrustedPathError(f"{path}: is no ordinary file; remove it, or name another")
    if status.st_nlink > 1:
        raise UntrustedPathError(f"{path}: has {status.st_nlink} names, so it may be somebody else's file; remove it")
    _require_ours(path, status)


def open_file(directory: int, name: str, path: Path, flags: int, mode: int = 0o600) -> int:
    """Open an ordinary file of ours in a directory, never through a link, and without waiting for a FIFO or device.

    Args:
        directory: descriptor of the directory.
        name: of the file in it.
        path: the same as a path, for messages.
        flags: of open(2).
        mode: where it is made.

    Returns:
        a descriptor, for the caller to close.

    Raises:
        UntrustedPathError: it is a link, no ordinary file, or others may write it.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(name, flags | _FILE, mode, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UntrustedPathError(f"{path}: is a link; remove it, or name what it leads to") from error
        if error.errno == errno.ENXIO:
            raise UntrustedPathError(f"{path}: is no ordinary file; remove it, or name another") from error
        raise
    try:
        require_ours(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _require_ours(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise UntrustedPathError(
            f"{path}: belongs to {_owner(status.st_uid)}, who can exchange what this user relies on; use another place"
        )
    writable = status.st_mode & _OTHERS_WRITE
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return
    if writable & stat.S_IWOTH or (writable & stat.S_IWGRP and not _is_private(status.st_gid, status.st_uid)):
        raise UntrustedPathError(f"{path}: others may write it; type: chmod go-w {path}")


def _is_private(gid: int, uid: int) -> bool:
    """Whether a group has nobody but its owner in it (root's counts as such)."""
    if gid == 0:
        return not set(grp.getgrgid(0).gr_mem) - {"root"}
    try:
        group, owner = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and owner.pw_gid == gid and not set(group.gr_mem) - {owner.pw_name}


def _owner(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
