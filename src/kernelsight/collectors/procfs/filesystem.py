"""Space of mounted file systems, from /proc/self/mountinfo (proc_pid_mountinfo(5)) and statvfs(3)."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import parsing, rows
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.privileges import Capability
from kernelsight.collectors.text import lines, name
from kernelsight.events.declare import INT64_MAX
from kernelsight.events.filesystem import Filesystem
from kernelsight.linux.mounts import Mount, parse_mount

# Their statvfs asks a server or a FUSE daemon, and waits for ever when it does not answer.
_REMOTE = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "virtiofs",
})  # fmt: skip

# Interfaces of the kernel, and images, which are always full.
_NO_SPACE_TO_WATCH = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cramfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "erofs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rootfs",
    "romfs", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tracefs",
})  # fmt: skip

_PATIENCE_S = 0.05


@collector(source="procfs", emits=(Filesystem,), needs=(Capability.CAP_DAC_READ_SEARCH,))
class FilesystemCollector:
    """Space and inodes of every mounted file system that has any.

    Options: `remote_filesystems`: network and FUSE mounts too (false). One that does not answer
    is left out until it does.
    """

    def __init__(self, host: Host, statvfs: Callable[[bytes], os.statvfs_result] = os.statvfs) -> None:
        self._statvfs = statvfs
        self._remote_too = bool(host.options.get("remote_filesystems", False))
        self._file = KernelFile(host.proc / "self/mountinfo", records=True, size=16384)
        # The kernel reports POLLPRI on this file when something was mounted or unmounted.
        self._changes = select.poll()
        self._changes.register(self._file.fileno(), select.POLLPRI)
        self._mounts: Sequence[Mount] | None = None
        self._waiting: dict[bytes, _Question] = {}

    def collect(self, now: int) -> list[Filesystem]:
        """Ask every mount once; mountinfo is read only when it has changed."""
        if self._mounts is None or self._changes.poll(0):
            self._mounts = watched(parse_mountinfo(self._file.read()), remote_too=self._remote_too)
        answers = [(mount, self._ask(mount)) for mount in self._mounts]
        return [filesystem_event(mount, usage, now) for mount, usage in answers if usage is not None and usage.f_blocks]

    def close(self) -> None:
        """Close mountinfo. Threads that wait for a dead server end with it or with the process."""
        self._file.close()

    def _ask(self, mount: Mount) -> os.statvfs_result | None:
        if is_remote(mount.fs_type) or mount.fs_type == "fuseblk":
            return self._ask_with_patience(mount.point)
        try:
            return self._statvfs(mount.point)
        except OSError:
            return None  # unmounted meanwhile, or below a directory that this user may not enter

    def _ask_with_patience(self, point: bytes) -> os.statvfs_result | None:
        question = self._waiting.pop(point, None)
        if question is None:
            question = _Question(self._statvfs, point)
            question.join(_PATIENCE_S)
        if question.is_alive():
            self._waiting[point] = question
            return None
        return question.answer


class _Question(threading.Thread):
    """A statvfs that may never return."""

    def __init__(self, statvfs: Callable[[bytes], os.statvfs_result], point: bytes) -> None:
        super().__init__(daemon=True, name=f"statvfs {name(point)}")
        self._statvfs = statvfs
        self._point = point
        self.answer: os.statvfs_result | None = None
        self.start()

    def run(self) -> None:
        """Ask; leave no answer when there is none."""
        try:
            self.answer = self._statvfs(self._point)
        except OSError:
            return


def parse_mountinfo(text: bytes) -> list[Mount]:
    """Parse lines such as ``27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw``.

    Raises:
        SourceUnavailableError: it is not mountinfo.
    """
    with parsing("/proc/self/mountinfo", text):
        mounts = list(rows(parse_mount, lines(text)))
        if not mounts:
            raise ValueError("it has no mount")
        return mounts


def watched(mounts: Sequence[Mount], *, remote_too: bool) -> list[Mount]:
    """The mounts to ask: one of each file system, none of those that other mounts hide.

    Of bind mounts of one file system the one that shows its root is taken, of these the shortest, and the oldest.
    An overlay shows the space of the file system below it, so it is taken only as the root of a container.
    """
    hidden = _hidden(mounts)
    best: dict[bytes, Mount] = {}
    for mount in mounts:
        skipped = (
            mount.id in hidden
            or mount.fs_type in _NO_SPACE_TO_WATCH
            or mount.point.startswith((b"/proc/", b"/sys/"))
            or (mount.fs_type == "overlay" and mount.point != b"/")
            or (is_remote(mount.fs_type) and not remote_too)
        )
        known = best.get(mount.device_number)
        if not skipped and (known is None or _preference(mount) < _preference(known)):
            best[mount.device_number] = mount
    return sorted(best.values(), key=lambda mount: mount.point)


def _preference(mount: Mount) -> tuple[bool, int, int]:
    return mount.root != b"/", len(mount.point), mount.id


def _hidden(mounts: Sequence[Mount]) -> set[int]:
    """Ids of mounts whose path leads to another: something was mounted over them, or over a directory above."""
    over = {(mount.parent, mount.point) for mount in mounts if mount.parent != mount.id}
    buried = {mount.id for mount in mounts if any((mount.parent, above) in over for above in _above(mount.point))}
    while below := {mount.id for mount in mounts if mount.parent in buried and mount.id not in buried}:
        buried |= below
    return buried | {mount.id for mount in mounts if (mount.id, mount.point) in over}


def _above(point: bytes) -> Iterator[bytes]:
    while point != b"/":
        point = point.rpartition(b"/")[0] or b"/"
        yield point


def is_remote(fs_type: str) -> bool:
    """Whether statvfs may wait for another machine or a FUSE daemon."""
    return fs_type in _REMOTE or fs_type.startswith("fuse.")


def filesystem_event(mount: Mount, usage: os.statvfs_result, now: int) -> Filesystem:
    """The event of one mount from what statvfs says; file systems without a number of inodes have None."""
    return Filesystem(
        now,
        name(mount.point),
        name(mount.device),
        mount.fs_type,
        size_bytes=_storable(usage.f_blocks * usage.f_frsize),
        free_bytes=_storable(usage.f_bfree * usage.f_frsize),
        avail_bytes=_storable(usage.f_bavail * usage.f_frsize),
        inodes_total=_storable(usage.f_files) or None,
        inodes_free=_storable(usage.f_ffree) if usage.f_files else None,
        read_only=bool(usage.f_flag & os.ST_RDONLY),
        device_number=name(mount.device_number),
    )


def _storable(value: int) -> int | None:
    return value if value <= INT64_MAX else None
