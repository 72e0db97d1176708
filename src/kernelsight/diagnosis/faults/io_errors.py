"""The class `io_errors`."""

from kernelsight.diagnosis.fault import FaultClass

IO_ERRORS = FaultClass(
    "io_errors",
    meaning="Reads, writes or commits of files fail because their device or file system is broken (EIO), or because "
    "the kernel lets nobody write to a file system any more after it met an error (EROFS).",
    needs=("syscall_error|kernel_message",),
    parts=("disk",),
    governed_by=("/sys/block/*/queue/*",),
)
