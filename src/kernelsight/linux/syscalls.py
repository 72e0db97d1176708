"""System calls by what they are for (their manual pages, section 2), under the names that x86-64 and 32-bit x86 use.

One class a purpose; whoever needs more joins classes.
"""

from __future__ import annotations


def _calls(text: str) -> frozenset[str]:
    return frozenset(text.split())


READS = _calls("read readv pread64 preadv preadv2")
WRITES = _calls("write writev pwrite64 pwritev pwritev2")
COMMITS = _calls("fsync fdatasync sync syncfs sync_file_range msync")
"""Calls that return when data is on the device."""
OPENS = _calls("open openat openat2 creat")
MAKES_NAMES = _calls(
    "mkdir mkdirat mknod mknodat rename renameat renameat2 link linkat symlink symlinkat",
)
"""Calls that add a name to a directory."""
READS_NAMES = _calls(
    "stat lstat newfstatat statx access faccessat faccessat2 getdents getdents64 readlink readlinkat chdir"
)
REMOVES_NAMES = _calls("unlink unlinkat rmdir")
CHANGES_METADATA = _calls("chmod fchmod fchmodat chown fchown fchownat utimensat")
CHANGES_SIZE = _calls("truncate ftruncate fallocate")
COPIES = _calls("sendfile copy_file_range splice")

POLLS = _calls("poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_wait epoll_pwait epoll_pwait2")
"""Calls that wait for any of several descriptors, or for a time."""
ACCEPTS = _calls("accept accept4")
RECEIVES_MESSAGES = _calls("recvfrom recvmsg recvmmsg recvmmsg_time64")
"""Calls that wait for data on a socket."""
RECEIVES = _calls("read readv") | RECEIVES_MESSAGES
"""Calls that wait for data on one descriptor."""
SLEEPS = _calls("nanosleep clock_nanosleep clock_nanosleep_time64")
WAITS_FOR_SIGNAL = _calls("pause rt_sigsuspend sigsuspend rt_sigtimedwait rt_sigtimedwait_time64")
WAITS_FOR_CHILD = _calls("wait4 waitid waitpid")
WAITS_FOR_MESSAGE = _calls("mq_timedreceive mq_timedreceive_time64")
RECEIVES_SYSTEM_V = _calls("msgrcv")
GETS_ASYNCHRONOUS_IO = _calls("io_getevents io_pgetevents io_pgetevents_time64")
"""Calls that wait for requests of asynchronous I/O which were handed in before."""
ENTERS_RING = _calls("io_uring_enter")
"""Hands in requests, waits for them, or both."""
RESTARTS = _calls("restart_syscall")
"""What a wait that a signal interrupted goes on as."""
MULTIPLEXED = _calls("socketcall ipc")
"""Calls of 32-bit programs that stand for many others."""

FUTEX_WAITS = _calls("futex futex_wait futex_waitv futex_time64")
SEMAPHORES = _calls("semop semtimedop semtimedop_time64")
FILE_LOCKS = _calls("fcntl fcntl64 flock")

FORKS = _calls("fork vfork clone clone3")
EXECS = _calls("execve execveat")
EXITS = _calls("exit exit_group")

IDLE_WAITS = (
    POLLS | ACCEPTS | SLEEPS | WAITS_FOR_SIGNAL | WAITS_FOR_CHILD | WAITS_FOR_MESSAGE | GETS_ASYNCHRONOUS_IO | RESTARTS
)
"""Calls in which a thread waits for work, for time or for its children: not for somebody who is too slow."""

USER_LOCKS = FUTEX_WAITS | SEMAPHORES
"""Calls in which a thread waits for a lock that lives in a program."""
