"""Devices that answer with errors: calls on their files fail (EIO)."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.failed_storage import FailedStorage, explanation, failed_storage
from kernelsight.diagnosis.faults.io_errors import IO_ERRORS
from kernelsight.diagnosis.kernel_log import OF_STORAGE, is_read, said
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.syscalls import SyscallError
from kernelsight.linux.syscalls import COMMITS

AGAIN_CALLS = Threshold(2, "calls", because="judged: a call that fails once may be tried again with success")


@dataclass(frozen=True, slots=True)
class Broken:
    """Calls that failed with EIO on one file system, and what the kernel says of its device."""

    failed: FailedStorage
    messages: Sequence[KernelMessage] = ()
    log_is_read: bool = False
    """Whether the kernel's log was read."""

    @property
    def is_said(self) -> bool | None:
        """Whether the kernel says that the device failed; None where nobody read its log."""
        return True if self.messages else False if self.log_is_read else None

    @property
    def is_storage(self) -> bool:
        """Whether the calls are on the file system of a device, or commit data."""
        return self.failed.is_storage or bool(self.failed.calls & COMMITS)

    @property
    def count(self) -> int:
        """How many calls failed."""
        return self.failed.count


def measure(window: Window) -> Iterable[Broken]:
    """Each file system on which calls failed with EIO."""
    for failed in failed_storage(window, errno.EIO):
        yield Broken(failed, failed.said(window, *OF_STORAGE), log_is_read=is_read(window))


def explain(window: Window, broken: Broken) -> Explanation:
    """The device, or what it is made of, does not do what it is asked for."""
    failed = broken.failed
    name = failed.culprit.name
    return explanation(
        window,
        failed,
        *said(window, broken.messages),
        *_became_read_only(window, failed),
        does="returns errors",
        refuted_by=f"`dmesg` has no I/O error and no file-system error of {name}",
        outlook="data that was written since may be lost, and more calls fail",
    )


def _became_read_only(window: Window, failed: FailedStorage) -> Iterator[Step | None]:
    for other in failed_storage(window, errno.EROFS):
        if failed.number is not None and other.number == failed.number:
            yield claim(
                f"the kernel lets nobody write there any more: {other.count} calls failed with EROFS",
                window.evidence(other.rows, SyscallError.count, "sum"),
            )


MECHANISM = Mechanism[Broken](
    fault=IO_ERRORS,
    summary="A device answers requests with errors, or its file system is damaged, and the calls on its files fail "
    "(EIO).",
    measure=measure,
    checks=(
        Check(
            id="on_storage",
            says="the calls are on the file system of a device, or commit data",
            holds=lambda broken: broken.is_storage,
            supports=4.0,
            refutes=5.0,
            because="EIO of read(2) and write(2) is also what a terminal gives that was hung up, a pseudoterminal "
            "without its other side, and /proc/PID/mem (read(2), pty(7)): these are on file systems without a device, "
            "and cannot be committed (fsync(2): EINVAL). On a file system that is not known, it may be either",
        ),
        Check(
            id="kernel_says_error",
            says="the kernel says that the device or its file system failed",
            holds=lambda broken: broken.is_said,
            supports=3.0,
            refutes=0.5,
            because="the block layer says each request that failed (blk_print_req_error in block/blk-mq.c), at a "
            "limited rate. Targets of the device mapper and file systems of servers say nothing of a call that they "
            "refuse, so that silence refutes little",
        ),
        Check(
            id="again",
            says="more than one call failed",
            holds=lambda broken: broken.count >= AGAIN_CALLS,
            supports=1.0,
            refutes=0.5,
            because="judged: a defect shows again and again. But the kernel tells each open file of a failed write "
            "only once (fsync(2)), so that a single failure is no reason to doubt it",
        ),
    ),
    explain=explain,
)
