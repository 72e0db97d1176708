"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.failed_storage import FailedStorage
from kernelsight.diagnosis.mechanisms.device_returns_errors import Broken
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.syscalls import SyscallError


def failed(samples, call="read", count=2):
    row = SyscallError(1, pid=70, comm="job", syscall_name=call, errno=5, error="EIO", count=count)
    return FailedStorage(number="8:17", file_system=samples, rows=(row,))


DISK = (Filesystem(1, mount_point="/srv", device="/dev/sdb1", fs_type="xfs", device_number="8:17"),)
MEMORY = (Filesystem(1, mount_point="/dev", device="tmpfs", fs_type="tmpfs", device_number="0:5"),)
SAID = KernelMessage(1, message_kind="io_error", from_kernel=True, device="sdb", count=1)
HOLDS = Broken(failed(DISK), (SAID,))
FAILS = {
    "on_storage": {"failed": failed(MEMORY)},
    "kernel_says_error": {"messages": (), "log_is_read": True},
    "again": {"failed": failed(DISK, "fsync", 1)},
}
DOES_NOT_APPLY = {"kernel_says_error": {"messages": ()}}
