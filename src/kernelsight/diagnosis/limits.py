"""Which limit of the kernel a failed call has met: the call and its errno say it together.

One errno means many things: EMFILE of `openat` is the process's own limit of descriptors, EMFILE of
`inotify_init1` mostly the user's limit of inotify instances. Each limit is declared once, with the
calls and errors that mean it (by the manual page of the call), who is counted, and how its holders
can be seen. A pair that is not declared here means no limit that is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CountedBy = Literal["process", "user", "machine", "namespace"]
"""Whose objects count together: those of one process, of one user, of all, or of one network or IPC namespace."""


@dataclass(frozen=True, slots=True, eq=False)
class KernelLimit:
    """A limit, and how it shows that it is met."""

    name: str
    """The sysctl, or the resource of setrlimit(2), that sets it."""
    noun: str
    """What it counts, in the plural."""
    counted_by: CountedBy
    met_by: Mapping[str, frozenset[str]]
    """Names of errors → the calls whose failure with them means this limit."""
    holders: str
    """How to see who holds them: a command."""
    source: str
    """Where that is said."""
    is_ambiguous: bool = False
    """Whether a pair of call and error means other limits as well."""
    takes_memory: bool = False
    """The error is also that of a machine without memory: it means the limit only while memory is left."""
    remedy: str = ""
    """What raises it, where that is not the sysctl of this name."""


def _calls(text: str) -> frozenset[str]:
    return frozenset(text.split())


DESCRIPTOR_CALLS = _calls(
    "open openat openat2 creat socket socketpair accept accept4 pipe pipe2 dup dup2 dup3 fcntl fcntl64 eventfd eventfd2"
    " epoll_create epoll_create1 signalfd signalfd4 timerfd_create memfd_create memfd_secret userfaultfd"
    " perf_event_open pidfd_open pidfd_getfd open_by_handle_at io_uring_setup recvmsg bpf fsopen fspick fsmount"
    " open_tree open_tree_attr shm_open execve landlock_create_ruleset seccomp"
)
"""Calls that make a descriptor: EMFILE of them is the process's own limit (RLIMIT_NOFILE)."""
OTHER_DESCRIPTOR_CALLS = _calls("inotify_init inotify_init1 fanotify_init mq_open")
"""These make one as well, and have a limit of their own that says EMFILE too."""
CONNECTION_TABLE = "net.netfilter.nf_conntrack_max"
TCP_MEMORY = "net.ipv4.tcp_mem"
OPEN_FILES = "fs.file-max"

LIMITS: tuple[KernelLimit, ...] = (
    KernelLimit(
        "fs.inotify.max_user_instances", "inotify instances", "user",
        {"EMFILE": _calls("inotify_init inotify_init1")},
        "find /proc/[0-9]*/fd -lname anon_inode:inotify", "inotify_init(2)",
    ),
    KernelLimit(
        "fs.inotify.max_user_watches", "inotify watches", "user",
        {"ENOSPC": _calls("inotify_add_watch")},
        "grep -c ^inotify /proc/[0-9]*/fdinfo/*", "inotify_add_watch(2)",
    ),
    KernelLimit(
        "fs.fanotify.max_user_groups", "fanotify groups", "user",
        {"EMFILE": _calls("fanotify_init")},
        "find /proc/[0-9]*/fd -lname 'anon_inode:[fanotify]'", "fanotify_init(2)",
    ),
    KernelLimit(
        "fs.fanotify.max_user_marks", "fanotify marks", "user",
        {"ENOSPC": _calls("fanotify_mark")},
        "grep -c ^fanotify /proc/[0-9]*/fdinfo/*", "fanotify_mark(2)",
    ),
    KernelLimit(
        "fs.epoll.max_user_watches", "epoll watches", "user",
        {"ENOSPC": _calls("epoll_ctl")},
        "grep -c ^tfd: /proc/[0-9]*/fdinfo/*", "epoll(7)",
    ),
    KernelLimit(
        OPEN_FILES, "open files of the machine", "machine",
        {"ENFILE": DESCRIPTOR_CALLS | OTHER_DESCRIPTOR_CALLS | _calls("shmget mmap acct")},
        "cat /proc/sys/fs/file-nr; ls /proc/[0-9]*/fd | wc -l", "open(2)",
    ),
    KernelLimit(
        "fs.aio-max-nr", "asynchronous I/O events", "machine",
        {"EAGAIN": _calls("io_setup")},
        "cat /proc/sys/fs/aio-nr; grep -l /\\\\[aio\\\\] /proc/[0-9]*/maps", "io_setup(2)",
    ),
    KernelLimit(
        "kernel.keys.maxkeys", "keys", "user",
        {"EDQUOT": _calls("add_key request_key keyctl")},
        "cat /proc/key-users", "keyrings(7), /proc/sys/kernel/keys",
        remedy="kernel.keys.maxkeys or kernel.keys.maxbytes (of root: kernel.keys.root_maxkeys or root_maxbytes)",
    ),
    KernelLimit(
        "kernel.shmmni", "segments of shared memory", "namespace",
        {"ENOSPC": _calls("shmget")},
        "ipcs -m -p", "shmget(2)",
        remedy="kernel.shmmni (segments) or kernel.shmall (pages)",
    ),
    KernelLimit(
        "kernel.sem", "sets of semaphores", "namespace",
        {"ENOSPC": _calls("semget")},
        "ipcs -s -c", "semget(2)",
        remedy="kernel.sem (its fourth number: sets; its second: semaphores)",
    ),
    KernelLimit(
        "kernel.msgmni", "message queues", "namespace",
        {"ENOSPC": _calls("msgget")},
        "ipcs -q -p", "msgget(2)",
    ),
    KernelLimit(
        "fs.mqueue.queues_max", "POSIX message queues", "namespace",
        {"ENOSPC": _calls("mq_open")},
        "ls /dev/mqueue", "mq_overview(7)",
    ),
    KernelLimit(
        "RLIMIT_MSGQUEUE", "bytes of POSIX message queues", "user",
        {"EMFILE": _calls("mq_open")},
        "ls -l /dev/mqueue", "mq_open(3)",
        remedy="RLIMIT_MSGQUEUE (ulimit -q, LimitMSGQUEUE= of systemd)",
    ),
    KernelLimit(
        "vm.max_map_count", "mappings of memory", "process",
        {"ENOMEM": _calls("mprotect pkey_mprotect munmap mremap remap_file_pages")},
        "wc -l /proc/[0-9]*/maps", "mprotect(2), munmap(2)",
        takes_memory=True,
    ),
    KernelLimit(
        "vm.max_map_count", "mappings of memory", "process",
        {"ENOMEM": _calls("mmap mmap2 shmat")},
        "wc -l /proc/[0-9]*/maps", "mmap(2): also RLIMIT_AS, RLIMIT_DATA and vm.overcommit_memory=2",
        is_ambiguous=True, takes_memory=True,
        remedy="vm.max_map_count; if it has fewer mappings than that, RLIMIT_AS (ulimit -v) or vm.overcommit_memory",
    ),
    KernelLimit(
        "RLIMIT_MEMLOCK", "bytes of locked memory", "process",
        {
            "ENOMEM": _calls("mlock mlock2 mlockall io_uring_setup io_uring_register"),
            "EAGAIN": _calls("mlock mlock2 mlockall"),
            "EPERM": _calls("mlock mlock2 mlockall bpf"),
        },
        "grep VmLck /proc/[0-9]*/status", "mlock(2), getrlimit(2)",
        takes_memory=True,
        remedy="RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK= of systemd)",
    ),
    KernelLimit(
        "RLIMIT_SIGPENDING", "queued signals and timers", "user",
        {"EAGAIN": _calls("timer_create rt_sigqueueinfo rt_tgsigqueueinfo")},
        "grep SigQ /proc/[0-9]*/status", "timer_create(2), sigqueue(3)",
        remedy="RLIMIT_SIGPENDING (ulimit -i, LimitSIGPENDING= of systemd)",
    ),
    KernelLimit(
        "user.max_user_namespaces", "namespaces", "user",
        {"ENOSPC": _calls("unshare clone clone3")},
        "lsns", "namespaces(7), /proc/sys/user",
        remedy="the limit of that kind of namespace in /proc/sys/user",
    ),
    KernelLimit(
        "RLIMIT_NOFILE", "descriptors in flight through sockets", "user",
        {"ETOOMANYREFS": _calls("sendmsg sendmmsg")},
        "ls /proc/[0-9]*/fd | wc -l", "unix(7)",
        remedy="RLIMIT_NOFILE (ulimit -n, LimitNOFILE= of systemd)",
    ),
    KernelLimit(
        "file locks", "locks on files", "machine",
        {"ENOLCK": _calls("fcntl fcntl64 flock")},
        "cat /proc/locks; on NFS, the lock manager of the server", "fcntl(2)",
        remedy="the memory for locks, or on NFS the server's lock manager (lockd)",
    ),
    KernelLimit(
        TCP_MEMORY, "pages of memory of TCP sockets", "machine",
        {"ENOBUFS": _calls("socket accept accept4 connect setsockopt")},
        "cat /proc/net/sockstat; ss -tmn", "tcp(7), tcp_mem",
        is_ambiguous=True,
    ),
)  # fmt: skip

NOT_CALLED: Mapping[str, KernelLimit] = {
    limit.name: limit
    for limit in (
        KernelLimit(
            CONNECTION_TABLE, "tracked connections", "namespace", {},
            "conntrack -C; conntrack -L", "Documentation/networking/nf_conntrack-sysctl.rst",
        ),
        KernelLimit(
            TCP_MEMORY, "pages of memory of TCP sockets", "machine", {},
            "cat /proc/net/sockstat; ss -tmn", "tcp(7), tcp_mem",
        ),
    )
}  # fmt: skip
"""Limits that no call meets: packets do."""


SYSCTLS = frozenset(limit.name for limit in (*LIMITS, *NOT_CALLED.values()) if "." in limit.name)
"""The limits that a sysctl of their name sets."""


def limits_of(call: str | None, error: str | None) -> tuple[KernelLimit, ...]:
    """The limits that a call (by its name) which fails with an error (by its name) may have met; mostly none."""
    return tuple(limit for limit in LIMITS if call in limit.met_by.get(error or "", ()))
