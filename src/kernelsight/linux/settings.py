"""Which settings of the kernel are watched: sysctls, and a few files of sysfs, by where they stand.

Documentation/admin-guide/sysctl/, Documentation/admin-guide/mm/transhuge.rst, Documentation/block/queue-sysfs.rst.
"""

from __future__ import annotations

import re

SYSCTLS = (
    "fs", "kernel", "net/core", "net/ipv4", "net/ipv6", "net/mptcp", "net/netfilter", "net/sctp", "net/unix",
    "net/vsock", "user", "vm",
)  # fmt: skip
"""Folders of /proc/sys that are watched with all below them."""
SYSFS = ("kernel/mm/ksm", "kernel/mm/lru_gen", "kernel/mm/transparent_hugepage")
"""Folders of /sys that are watched, without what is below their folders."""
QUEUE = ("nr_requests", "read_ahead_kb", "scheduler", "wbt_lat_usec", "write_cache")
"""Files of /sys/block/DEVICE/queue that are watched."""

_OF_ONE_INTERFACE = r"net/ipv[46]/(conf|neigh)/(?!all/|default/)"
"""An interface has a hundred settings of its own, and a machine may have thousands of interfaces."""
_COUNTS = (
    r"fs/(aio-nr|dentry-state|file-nr|inode-nr|inode-state|mount-nr)|fs/quota/.*|fs/xfs/stats_clear"
    r"|kernel/(hung_task_(detect_count|warnings)|ns_last_pid|pty/nr|perf_event_max_sample_rate|(msg|sem|shm)_next_id)"
    r"|kernel/bpf_stats_enabled|net/netfilter/nf_conntrack_count"
)
"""What counts, what the kernel sets by itself, and what our own collectors switch."""
_NOT_OURS_TO_KEEP = (
    r"kernel/(random/.*|hostname|domainname|seccomp/.*|keys/.*secret.*|bootloader_.*)|fs/binfmt_misc/.*"
    r"|.*(fastopen_key|stable_secret|rss_key).*"
)
"""Secrets, random numbers, and the name of the machine."""
_ACTS = r"vm/(stat_refresh|compact_memory|drop_caches)|net/ipv[46]/route/flush"
"""To read or write these does something."""
_LEFT_OUT = re.compile(f"{_OF_ONE_INTERFACE}.*|{_COUNTS}|{_NOT_OURS_TO_KEEP}|{_ACTS}")


def is_watched(path: str) -> bool:
    """Whether a file below /proc/sys is a setting that stays as it is until somebody changes it.

    Args:
        path: such as `vm/swappiness`.
    """
    return _LEFT_OUT.fullmatch(path) is None


def sysctl_name(path: str) -> str:
    """The name of a file below /proc/sys as sysctl(8) takes it; a dot in the name of a folder becomes a slash."""
    return path.replace(".", "\0").replace("/", ".").replace("\0", "/")


_OF_A_DEVICE = re.compile(r"/sys/block/([^/]+)/.*")


def device_of(setting: str) -> str | None:
    """The block device that a setting is of; None where it is of none."""
    match = _OF_A_DEVICE.fullmatch(setting)
    return match[1] if match else None
