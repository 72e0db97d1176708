"""System calls that are about a file, by how they say which (numbers as the kernel counts them)."""

from __future__ import annotations

from kernelsight.collectors.bpf.syscall_names import numbers_of

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
