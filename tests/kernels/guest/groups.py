"""Control groups of the virtual machine, in which nobody else is."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
GROUP = ROOT / "checks"
"""Where the checks run, so that their events carry an id that is not the root's."""


def make(name: str, **limits: str) -> Path:
    """Make a group with limits such as ``memory_max="16M"``."""
    group = ROOT / name
    group.mkdir(exist_ok=True)
    for limit, value in limits.items():
        (group / limit.replace("_", ".", 1)).write_text(value)
    return group


def enter(group: Path) -> None:
    """Move this process into a group, which is made where it is missing."""
    group.mkdir(exist_ok=True)
    (group / "cgroup.procs").write_text("0")


def identity(group: Path = GROUP) -> int:
    """The id that events carry: the inode of the group's directory."""
    return group.stat().st_ino
