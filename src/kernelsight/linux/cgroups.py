"""The lines of /proc/PID/cgroup (cgroups(7))."""

from __future__ import annotations

from typing import NamedTuple


class Membership(NamedTuple):
    """The group of a process in one hierarchy."""

    hierarchy: int
    """0: that of version 2."""
    controllers: tuple[bytes, ...]
    """Of version 1; none of a hierarchy that only has a name, and none of version 2."""
    path: bytes
    """From the root of the hierarchy; of a group that is gone without the mark for that."""


def parse_membership(line: bytes) -> Membership:
    """Parse a line such as ``0::/system.slice/ssh.service`` or ``4:cpu,cpuacct:/``.

    Raises:
        ValueError: it is none.
    """
    hierarchy, colon, rest = line.partition(b":")
    controllers, another, path = rest.partition(b":")
    if not (colon and another and path.startswith(b"/") and hierarchy.isdigit()):
        raise ValueError("no number, controllers and path of a group")
    named = controllers.startswith(b"name=") or not controllers
    return Membership(int(hierarchy), () if named else tuple(controllers.split(b",")), path.removesuffix(b" (deleted)"))
