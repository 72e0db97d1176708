"""Whether /proc hides the processes of other users (the mount option `hidepid`, Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import os
from pathlib import Path

from kernelsight.collectors.files import read_once
from kernelsight.collectors.privileges import Capability, missing
from kernelsight.linux.mounts import parse_mounts

_MODES = {b"1": 1, b"noaccess": 1, b"2": 2, b"invisible": 2, b"4": 4, b"ptraceable": 4}
_NO_ACCESS, _PTRACEABLE = 1, 4


def parse_hidepid(mountinfo: bytes, proc: bytes) -> tuple[int, int | None]:
    """How /proc hides processes (0: not at all) and the group that sees all of them, if it has one.

    Args:
        mountinfo: /proc/self/mountinfo.
        proc: where /proc is mounted; of several mounts there the last one counts, which is on top.
    """
    mode, group = 0, None
    for mount in parse_mounts(mountinfo.splitlines()):
        if mount.point != proc or mount.fs_type != "proc":
            continue
        options = mount.super_options or {}
        mode = _MODES.get(options.get(b"hidepid", b""), 0)
        gid = options.get(b"gid", b"")
        group = int(gid) if gid.isdigit() and len(gid) < 11 else None
    return mode, group


def limits_of_hidepid(proc: Path) -> list[str]:
    """The limitation of a collector that lists processes, when /proc hides those of others from this user.

    Args:
        proc: where processes are read from; nothing is hidden in a recording.
    """
    if not (proc / str(os.getpid())).exists() or not missing((Capability.CAP_SYS_PTRACE,)):
        return []
    mode, group = parse_hidepid(read_once(proc / "self/mountinfo") or b"", os.fsencode(proc))
    if mode == 0 or (mode != _PTRACEABLE and group in (os.getegid(), *os.getgroups())):
        return []
    hidden = "cannot be read" if mode == _NO_ACCESS else "are not seen"
    return [
        f"{proc} is mounted with hidepid={mode}: processes of other users {hidden}; run as root or with CAP_SYS_PTRACE"
        + ("" if mode == _PTRACEABLE else f", or mount it with gid={group or 'GROUP'} and join that group")
    ]
