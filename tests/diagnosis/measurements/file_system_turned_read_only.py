"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.failed_storage import FailedStorage
from kernelsight.diagnosis.mechanisms.file_system_turned_read_only import TurnedReadOnly
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.syscalls import SyscallError


def failing(call, *samples):
    row = SyscallError(1, pid=70, comm="job", syscall_name=call, errno=30, error="EROFS", count=3)
    return FailedStorage(number="8:17", file_system=samples, rows=(row,))


DISK = Filesystem(1, mount_point="/srv", device="/dev/sdb1", fs_type="ext4", device_number="8:17")
SAID = KernelMessage(1, message_kind="filesystem_read_only", from_kernel=True, device="sdb1", count=1)
HOLDS = TurnedReadOnly(failed=failing("write", DISK), was_writable=True, messages=(SAID,))
FAILS = {
    "kernel_says_error": {"messages": (), "log_is_read": True},
    "open_files": {"failed": failing("openat", DISK)},
    "was_writable": {"was_writable": False},
    "known_file_system": {"failed": failing("write")},
}
DOES_NOT_APPLY = {"was_writable": {"was_writable": None}, "kernel_says_error": {"messages": ()}}
