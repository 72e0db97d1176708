"""What is mounted where and how, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.differences import Difference, Differences
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.procfs.filesystem import parse_mountinfo
from kernelsight.collectors.text import name
from kernelsight.events.mount import Mount
from kernelsight.linux.mounts import Mount as Line

_AT_LEAST_NS = 20 * NS_PER_S
"""A file system that turns itself read-only after an error does not tell who polls."""
_MOST = 2_000
_LONGEST = 400
_COME_AND_GO = frozenset({"autofs", "nsfs", "rpc_pipefs", "binfmt_misc"})
_OF_CONTAINERS = ("/proc/", "/run/docker/netns/", "/run/netns/", "/var/lib/containers/", "/var/lib/docker/")

Known = tuple[str, str, str, str]
"""Device, type, number, options."""


@collector(source="procfs", emits=(Mount,))
class MountCollector:
    """What is mounted where and how; a row for each change."""

    def __init__(self, host: Host) -> None:
        self._file = KernelFile(host.proc / "self/mountinfo", records=True, size=16384)
        # The kernel reports POLLPRI on this file when something was mounted, unmounted or remounted.
        self._changes = select.poll()
        self._changes.register(self._file.fileno(), select.POLLPRI)
        self._monotonic_ns = host.monotonic_ns
        self._differences: Differences[Known] = Differences()
        self._due = 0
        self._quiet_ns: int | None = None
        """Stamp of the last look at which the kernel said that nothing was mounted, unmounted or remounted."""

    def collect(self, now: int) -> Iterator[Mount]:
        """Read it if it has changed, or has not been read for 20 s."""
        moment = self._monotonic_ns()
        told = bool(self._changes.poll(0))
        if not told:
            self._quiet_ns = now
            if moment < self._due:
                return
        self._due = moment + _AT_LEAST_NS
        known = on_top(parse_mountinfo(self._file.read()))
        differences = [self._differences.seen(point, mount, now) for point, mount in known.items()]
        for found in (*differences, *self._differences.whole(known.keys(), now)):
            if found is not None:
                yield event(found if not told else _since(found, self._quiet_ns), now)

    def close(self) -> None:
        """Close mountinfo."""
        self._file.close()


def _since(found: Difference[Known], quiet_ns: int | None) -> Difference[Known]:
    """What the kernel told of came after it had told nothing, but for a file system that turned itself read-only."""
    if found.unchanged_ns is None or quiet_ns is None or _turned_read_only(found):
        return found
    return found._replace(unchanged_ns=max(found.unchanged_ns, quiet_ns))


def _turned_read_only(found: Difference[Known]) -> bool:
    return (
        found.value is not None
        and found.previous is not None
        and "ro" in found.value[3].split(",")
        and "ro" not in found.previous[3].split(",")
    )


def on_top(mounts: Iterable[Line]) -> dict[str, Known]:
    """What one sees at each mount point: of several mounts the last."""
    known: dict[str, Known] = {}
    for mount in mounts:
        point = name(mount.point)
        if mount.fs_type in _COME_AND_GO or point.startswith(_OF_CONTAINERS):
            continue
        known.pop(point, None)
        known[point] = name(mount.device), mount.fs_type, name(mount.device_number), options(mount)
        if len(known) > _MOST:
            known.pop(next(iter(known)))
    return known


def options(mount: Line) -> str:
    """The options of a mount and of its file system, sorted; `ro` where one of them is."""
    own = {name(option) for option in mount.options}
    its = {f"{name(key)}={name(value)}" if value else name(key) for key, value in (mount.super_options or {}).items()}
    both = own | its
    if "ro" in both:
        both.discard("rw")
    return ",".join(sorted(both))[:_LONGEST]


def event(found: Difference[Known], now: int) -> Mount:
    """The event of a mount point that was found different."""
    device, fs_type, number, how = found.value or (None, None, None, None)
    was_device, _, _, was_how = found.previous or (None, None, None, None)
    return Mount(now, found.name, device, fs_type, number, how, was_device, was_how, found.unchanged_ns)
