"""What the checks of the mechanism judge: a measurement for which all hold, and what makes each of them fail."""

from kernelsight.diagnosis.mechanisms.device_fails_unseen import FailsUnseen
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage


def said(count):
    return (KernelMessage(1, message_kind="io_error", from_kernel=True, device="sdb", count=count),)


MOUNTED = Filesystem(1, mount_point="/srv", device="/dev/sdb1", fs_type="xfs", device_number="8:17")
HOLDS = FailsUnseen("sdb", said(2), MOUNTED)
FAILS = {"is_used": {"file_system": None}, "again": {"messages": said(1)}}
