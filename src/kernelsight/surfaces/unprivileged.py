"""What only stores and looks runs as the owner of the database's directory, without capabilities, fenced in.

Only `collect` needs root's power, and the agent where its policy lets it act. Everything else that root starts becomes
the user whose directory the database is in, or the user that was named, gives up all capabilities, and, but for the
agent, is fenced in by Landlock where the kernel has it: it may write to that directory and to those for temporary
files, start no program (the daemon: none but this Python, in the same fence) and make no TCP connection. What another
user than root starts is fenced in alike.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

import kernelsight
from kernelsight import parent_death
from kernelsight.collectors.privileges import keep_only
from kernelsight.errors import KernelSightError, UsageError
from kernelsight.registry import load_modules
from kernelsight.stores.base import store
from kernelsight.surfaces import landlock
from kernelsight.trusted_paths import owner_of

_OPTIONAL = {"gemini"}
"""Modules that need a package which may not be installed."""


def serve_as_owner(
    db_path: str, rooms: Sequence[str], user: str | None = None, *, fenced: bool = True, starts_python: bool = False
) -> None:
    """Become who may write to the database, and no more.

    Args:
        db_path: a file, whose directory is made where it does not exist, or the URL of a store elsewhere.
        rooms: packages of ours that it works with; where the new user could not read them, they are loaded before.
        user: the name of the user to become, which only root can; by default the owner of the directory.
        fenced: restrict it by Landlock, too; the agent watches files of the kernel and may ask a model elsewhere.
        starts_python: it may start this Python again, within the same fence: the process that makes columnar twins.

    Raises:
        UsageError: there is no such user, or this one cannot become it.
        StoreError: what is named cannot be a database file.
        KernelSightError: the kernel refuses to give up the power that there is.
    """
    directory = store(db_path).directory
    owner = _owner(directory, user)
    becomes_another = owner is not None and owner != os.geteuid()
    with parent_death.kept(for_good=becomes_another):
        if directory is not None:
            _make(directory, owner)
        if owner is not None and becomes_another:
            _become(owner, rooms)
    keep_only(())
    if directory is not None and fenced:
        places = (directory, *map(Path, (os.environ.get("TMPDIR", "/tmp"), "/var/tmp", "/tmp", "/dev")))  # noqa: S108 - SQLite sorts there
        programs = landlock.own_program() if starts_python else ()
        landlock.restrict([place for place in places if place.is_dir()], programs)


def _owner(directory: Path | None, user: str | None) -> int | None:
    """The user to become; None: the one that there is."""
    if user is not None:
        try:
            named = pwd.getpwnam(user).pw_uid
        except KeyError:
            raise UsageError(f"there is no user {user!r}; `adduser --system --group {user}` makes one") from None
        if named != os.geteuid() and os.geteuid() != 0:
            raise UsageError(f"only root can become {user!r}; run it with sudo, or as that user")
        return named
    if os.geteuid() != 0 or directory is None:
        return None
    existing = next(folder for folder in (directory, *directory.parents) if folder.exists())
    return owner_of(existing)[0]


def _make(directory: Path, owner: int | None) -> None:
    """Make the directory where it does not exist, as the user whose it is to be."""
    if directory.exists():
        return
    before = os.geteuid()
    if owner is not None and owner != before:
        os.seteuid(owner)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KernelSightError(f"{directory}: cannot be made: {error.strerror}") from error
    finally:
        os.seteuid(before)


def _become(uid: int, rooms: Sequence[str]) -> None:
    """Become a user with all that belongs to it, for good."""
    try:
        entry = pwd.getpwuid(uid)
        name, gid, home = entry.pw_name, entry.pw_gid, entry.pw_dir
    except KeyError:
        name, gid, home = None, uid, "/"
    if not _can_read_this_program(uid):
        _load(rooms)
    if name is None:
        os.setgroups([])
    else:
        os.initgroups(name, gid)
    os.environ.update(HOME=home, USER=name or str(uid), LOGNAME=name or str(uid))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _can_read_this_program(uid: int) -> bool:
    """Whether the user may read what Python still has to load."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        return all(os.access(file, os.R_OK, effective_ids=True) for file in (os.__file__, kernelsight.__file__))
    finally:
        os.seteuid(before)


def _load(rooms: Sequence[str]) -> None:
    """Load now what cannot be loaded later, as where the interpreter is in root's home."""
    for room in ("stores", *rooms):
        load_modules(f"kernelsight.{room}", skip=_OPTIONAL, nested=True)
