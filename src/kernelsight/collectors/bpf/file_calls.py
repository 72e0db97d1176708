"""System calls that are about a file, by how they say which (numbers as the kernel counts them)."""

from __future__ import annotations

from kernelsight.collectors.bpf.syscall_names import COMPAT, numbers_of

ON_A_DESCRIPTOR = numbers_of(
    "read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2",
    "fsync", "fdatasync", "sync_file_range", "syncfs", "fallocate", "ftruncate", "fadvise64", "readahead",
    "fstat", "getdents", "getdents64", "lseek", "flock", "fcntl", "ioctl", "fchmod", "fchown", "fsetxattr",
)  # fmt: skip
ON_A_PATH = numbers_of(
    "open", "creat", "stat", "lstat", "access", "truncate", "mkdir", "rmdir", "unlink", "rename", "link", "readlink",
    "chmod", "chown", "lchown", "mknod", "chdir", "statfs", "execve", "utime", "utimes", "setxattr", "lsetxattr",
    "getxattr", "lgetxattr", "listxattr", "llistxattr", "removexattr", "lremovexattr",
)  # fmt: skip
# The same, on a path that begins at the descriptor of a directory.
ON_A_PATH_AT = numbers_of(
    "openat", "openat2", "newfstatat", "statx", "faccessat", "faccessat2", "mkdirat", "unlinkat", "renameat",
    "renameat2", "linkat", "readlinkat", "fchmodat", "fchmodat2", "fchownat", "mknodat", "utimensat", "execveat",
)  # fmt: skip


def places() -> dict[int, int]:
    """Which arguments of a call tell where its file is: its number to what bpf/file_place.h has in `call_places`.

    Of calls on two files, those that tell where something is written; calls that may be about many files have none.
    """
    told: dict[int, int] = {}
    for names, descriptor, path in _ARGUMENTS:
        told |= {number: 16 * descriptor + path for number in numbers_of(*names.split()) if number < COMPAT}
    return told


_ARGUMENTS = (
    (
        "read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 sendfile fallocate ftruncate lseek",
        1,
        0,
    ),
    ("fsync fdatasync sync_file_range syncfs ioctl fchmod fchown fsetxattr getdents getdents64 flock fcntl", 1, 0),
    ("copy_file_range splice", 3, 0),
    ("open creat truncate mkdir mknod rmdir unlink chmod chown lchown utime utimes setxattr lsetxattr", 0, 1),
    ("rename link symlink", 0, 2),
    ("openat openat2 mkdirat mknodat unlinkat fchmodat fchmodat2 fchownat utimensat", 1, 2),
    ("symlinkat", 2, 3),
    ("renameat renameat2 linkat", 3, 4),
)
"""Names of calls, and the arguments (from 1; 0: none) that are a descriptor and a path."""
