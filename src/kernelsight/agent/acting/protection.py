"""Whom no action is ever about: the first process, the kernel's threads, we ourselves, and whom the policy names.

A name protects if the process calls itself so or runs a file of that name. Who takes a protected name on purpose is
left alone, too: an action not taken does no harm.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from kernelsight.agent.acting.subject import (
    GroupSubject,
    MachineSubject,
    ProcessSubject,
    StaleError,
    Subject,
    look,
    members,
)
from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.cgroup_paths import find_mounts

ALWAYS = ("sshd*", "systemd*", "init", "dbus-daemon", "dbus-broker*", "login", "agetty", "udevd")
"""Without these nobody can come in to put things right (sshd, login, agetty), or the machine does not go on."""
_KTHREADD = 2
_OURS = b"kernelsight"


@dataclass(frozen=True, slots=True)
class Protection:
    """Who is protected; the first process, kernel threads, our own parts and :data:`ALWAYS` are in any case."""

    host: Host
    names: tuple[str, ...] = ()
    """Shell patterns of names of processes or of the files that they run."""
    users: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    """Shell patterns of paths of control groups."""

    def why(self, subject: Subject) -> str | None:
        """Why nothing may be done to it; None where it may."""
        if isinstance(subject, MachineSubject):
            return None
        if isinstance(subject, GroupSubject):
            return self._of_group(subject)
        return self._of_process(subject)

    def _of_process(self, process: ProcessSubject) -> str | None:
        return self._by_nature(process) or self._by_name(process)

    def _by_nature(self, process: ProcessSubject) -> str | None:
        if process.pid == 1:
            return f"{process.name} is the first process"
        if process.is_kernel or _KTHREADD in (process.pid, process.ppid):
            return f"{process.name} is a thread of the kernel"
        if self._is_ours(process):
            return f"{process.name} is a part of this system, or runs it"
        return None

    def _by_name(self, process: ProcessSubject) -> str | None:
        for pattern in (*ALWAYS, *self.names):
            if fnmatchcase(process.comm, pattern) or fnmatchcase(process.program, pattern):
                return f"{process.name} is protected as {pattern!r}"
        if process.uid in self.users:
            return f"{process.name} belongs to user {process.uid}, who is protected"
        for membership in process.groups:
            path = os.fsdecode(membership.path)
            if group := self._pattern(path):
                return f"{process.name} is in {path}, protected as {group!r}"
        return None

    def _of_group(self, group: GroupSubject) -> str | None:
        if pattern := self._pattern(group.path):
            return f"{group.path} is protected as {pattern!r}"
        for pid in sorted(self._members(group)):
            try:
                reason = self._of_process(look(self.host, pid))
            except StaleError:
                continue
            if reason:
                return f"{group.path} holds others: {reason}"
        return None

    def _members(self, group: GroupSubject) -> Iterator[int]:
        """Its processes, in whichever hierarchy has a group of this path."""
        for mount in find_mounts(self.host):
            folder = mount.folder(group.path)
            if folder is not None and ".." not in Path(group.path).parts:
                yield from members(folder)

    def _pattern(self, path: str) -> str | None:
        return next((pattern for pattern in self.groups if fnmatchcase(path, pattern)), None)

    def _is_ours(self, process: ProcessSubject) -> bool:
        """This process, those that it comes from (its terminal too), and whatever runs a command of ours."""
        return process.pid in set(self._ancestry(os.getpid())) or _is_command_of_ours(self.host, process.pid)

    def _ancestry(self, pid: int) -> Iterator[int]:
        while pid > 0:
            yield pid
            try:
                pid = look(self.host, pid).ppid
            except StaleError:
                return


def _is_command_of_ours(host: Host, pid: int) -> bool:
    """Whether its command line runs our program, by its own name or with `python -m`."""
    try:
        words = (host.proc / str(pid) / "cmdline").read_bytes().split(b"\0")[:4]
    except OSError:
        return False
    programs = (word.rpartition(b"/")[2] for word in words[:2])
    modules = (after for word, after in pairwise(words) if word == b"-m")
    return _OURS in programs or any(module.partition(b".")[0] == _OURS for module in modules)
