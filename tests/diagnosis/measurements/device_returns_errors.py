"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.failed_storage import FailedStorage
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.syscalls import SyscallError


def failing(call, count):
    return (SyscallError(1, pid=70, comm="job", syscall_name=call, errno=5, error="EIO", count=count),)


DISK = (Filesystem(1, mount_point="/srv", device="/dev/sdb1", fs_type="xfs", device_number="8:17"),)
MEMORY = (Filesystem(1, mount_point="/dev", device="tmpfs", fs_type="tmpfs", device_number="0:5"),)
HOLDS = FailedStorage(number="8:17", file_system=DISK, rows=failing("read", 2))
FAILS = {
    "on_storage": {"file_system": MEMORY},
    "again": {"rows": failing("fsync", 1)},
}
