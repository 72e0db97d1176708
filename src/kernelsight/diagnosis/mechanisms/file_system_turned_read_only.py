"""File systems to which the kernel lets nobody write any more, after an error."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.failed_storage import FailedStorage, explanation, failed_storage
from kernelsight.diagnosis.faults.io_errors import IO_ERRORS
from kernelsight.diagnosis.kernel_log import FILE_SYSTEM_ERROR, IO_ERROR, READ_ONLY, is_read, said
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.window import Window
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.linux.syscalls import COMMITS, WRITES

_ON_OPEN_FILES = WRITES | COMMITS | {"ftruncate", "fallocate"}
"""Calls that fail so on files that were open for writing alone."""


@dataclass(frozen=True, slots=True)
class TurnedReadOnly:
    """Calls that failed because their file system lets nobody write."""

    failed: FailedStorage
    was_writable: bool | None
    """Whether the file system could be written to at the first sample; None: the last one does not say that it cannot,
    as after an error of ext4 since Linux 6.15, or when only another mount of it is read-only."""
    messages: Sequence[KernelMessage] = ()
    """What the kernel said of errors of the file system and its device."""
    log_is_read: bool = False
    """Whether the kernel's log was read: then an error that it did not say did not happen."""

    @property
    def on_open_files(self) -> bool:
        """Whether calls failed on files that had been opened for writing."""
        return bool(self.failed.calls & _ON_OPEN_FILES)

    @property
    def is_said(self) -> bool | None:
        """Whether the kernel says that it met an error there; None where nobody read its log."""
        return True if self.messages else False if self.log_is_read else None

    @property
    def is_known(self) -> bool:
        """Whether the file system is known."""
        return self.failed.is_storage


def measure(window: Window) -> Iterable[TurnedReadOnly]:
    """Each file system on which calls failed with EROFS, unless its device returned errors: then it is that."""
    broken = {failed.number for failed in failed_storage(window, errno.EIO)} - {None}
    for failed in failed_storage(window, errno.EROFS):
        if failed.number in broken:
            continue
        samples = failed.file_system
        is_read_only = bool(samples) and bool(samples[-1].read_only)
        yield TurnedReadOnly(
            failed,
            not samples[0].read_only if is_read_only else None,
            failed.said(window, READ_ONLY, FILE_SYSTEM_ERROR, IO_ERROR),
            log_is_read=is_read(window),
        )


def explain(window: Window, suspect: TurnedReadOnly) -> Explanation:
    """The file system stays read-only until it is checked and mounted again."""
    name = suspect.failed.culprit.name
    return explanation(
        window,
        suspect.failed,
        *said(window, suspect.messages),
        _became(window, suspect),
        does="has become read-only",
        refuted_by=f"`dmesg` has no file-system error of {name}: somebody made it read-only",
        outlook="nothing can be written there until it is checked (fsck) and mounted again",
    )


def _became(window: Window, suspect: TurnedReadOnly) -> Step | None:
    if not suspect.was_writable:
        return None
    return claim(
        f"{suspect.failed.file_system[-1].mount_point} could be written to and became read-only",
        window.evidence(suspect.failed.file_system, Filesystem.read_only, "max"),
    )


MECHANISM = Mechanism[TurnedReadOnly](
    fault=IO_ERRORS,
    summary="The kernel met an error in a file system and lets nobody write to it any more (EROFS).",
    measure=measure,
    checks=(
        Check(
            id="kernel_says_error",
            says="the kernel says that it met an error there",
            holds=lambda suspect: suspect.is_said,
            supports=5.0,
            refutes=4.0,
            because="each file system says in the kernel's log that it lets nobody write after an error "
            "(ext4_handle_error in fs/ext4/super.c, and its like). Where it says nothing, a person made it read-only "
            "(mount -o remount,ro), unless the message was overwritten",
        ),
        Check(
            id="open_files",
            says="the calls failed on files that had been opened for writing",
            holds=lambda suspect: suspect.on_open_files,
            supports=4.0,
            refutes=1.5,
            because="nobody can make a file system read-only while a file of it is open for writing (mount(2): EBUSY); "
            "only the kernel does after an error (ext4(5), errors=remount-ro). What fails to open a file may have met "
            "a mount that is read-only by intention",
        ),
        Check(
            id="was_writable",
            says="the file system could be written to before",
            holds=lambda suspect: suspect.was_writable,
            supports=2.5,
            refutes=1.0,
            because="judged: what became read-only while programs write there did so unexpectedly; what was so at the "
            "first look may be meant so, or the error was before",
        ),
        Check(
            id="known_file_system",
            says="it is known on which file system they failed",
            holds=lambda suspect: suspect.is_known,
            supports=0.5,
            refutes=4.0,
            because="judged: images, interfaces of the kernel and file systems of containers are read-only by "
            "intention and not watched. Nothing can be said about an error of what is not seen",
        ),
    ),
    explain=explain,
)
