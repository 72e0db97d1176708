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
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from kernelsight import parent_death
from kernelsight.errors import KernelSightError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MOST_LINKS = 40
"""As in path_resolution(7)."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


_CHANGING_USER = threading.RLock()
"""The user belongs to the whole process: of two threads one changes it, and the other does not meet half of that."""


def as_owner_of(directory: Path) -> AbstractContextManager[None]:
    """While entered, root works with files as the user whose directory this is; other users as themselves.

    Raises:
        OSError: there is no such directory.
    """
    return as_user(*owner_of(directory))


def reader_of(file: Path) -> tuple[int, int]:
    """The user and group as whom root reads a file: the owner of its directory, or its own where that is root.

    Raises:
        UntrustedPathError: both are root, and others may exchange the file.
        OSError: there is no such directory.
    """
    owner = owner_of(file.parent)
    if owner[0] == 0:
        with suppress(FileNotFoundError):
            status = file.lstat()
            owner = status.st_uid, status.st_gid
    if owner[0] == 0 and os.geteuid() == 0:
        require_trusted_directory(file.parent)
    return owner


def owner_of(directory: Path) -> tuple[int, int]:
    """User and group of a directory; of a directory or link on the way to it where only that is not root's.

    Who owns a directory on the way can exchange all below it, so nothing below it is root's own.

    Raises:
        OSError: there is no such directory.
    """
    owners = [(status.st_uid, status.st_gid) for _, status in _hops(directory)]
    return owners[-1] if owners[-1][0] else next((owner for owner in reversed(owners) if owner[0]), owners[-1])


@contextmanager
def as_user(uid: int, gid: int) -> Iterator[None]:
    """While entered, root works with files as another user, in that user's group alone; other users as themselves.

    The effective user of the whole process changes, and is root again afterwards. So root never follows, makes or
    gives away by path anything that the user could not.
    """
    if uid == 0 or os.getuid() != 0:
        yield
        return
    with _CHANGING_USER:
        if os.geteuid() != 0:
            yield
            return
        group, groups = os.getegid(), os.getgroups()
        with parent_death.kept():
            try:
                os.setgroups([gid])
                os.setegid(gid)
                os.seteuid(uid)
                yield
            finally:
                os.seteuid(0)
                os.setegid(group)
                os.setgroups(groups)


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


def replace_text(path: Path, text: str) -> None:
    """Put a file with a text where there was none or another file: see :func:`replace_bytes`."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, data: bytes) -> None:
    """Put a file where there was none or another file; root does it as the directory's owner.

    Raises:
        UntrustedPathError: there is a link or something else than a file, which is neither followed nor replaced.
        OSError: it cannot be written.
    """
    with as_owner_of(path.parent):
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        new = f".{path.name[:200]}.{os.urandom(8).hex()}.new"
        try:
            with suppress(FileNotFoundError):
                status = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise UntrustedPathError(f"{path}: is a link or no ordinary file; remove it, or name another")
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=directory)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            os.replace(new, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=directory)
            os.close(directory)


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
    for hop, status in _hops(path):
        if not stat.S_ISLNK(status.st_mode):
            _require_ours(hop, status)
        elif status.st_uid not in {0, os.geteuid()}:
            raise UntrustedPathError(f"{hop}: is a link, laid by {_owner(status.st_uid)}; name where it leads to")


def _hops(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every directory and link on the way to a directory, from the root down, with what lstat(2) says of it.

    Each is looked at once, after those that it lies in: where they are trusted, nobody can exchange it afterwards.

    Raises:
        OSError: one does not exist; there are too many links.
    """
    here = Path("/")
    yield here, here.lstat()
    names = list(reversed(path.absolute().parts[1:]))
    links = 0
    while names:
        name = names.pop()
        hop = here.parent if name == ".." else here / name
        status = hop.lstat()
        yield hop, status
        if not stat.S_ISLNK(status.st_mode):
            here = hop
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = hop.readlink()
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        here = Path("/") if target.is_absolute() else here


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
