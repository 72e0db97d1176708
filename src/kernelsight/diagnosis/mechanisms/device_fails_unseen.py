"""Devices that fail without a call that fails: the kernel writes later, and alone says what it could not write."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.failed_storage import failed_storage
from kernelsight.diagnosis.faults.io_errors import IO_ERRORS
from kernelsight.diagnosis.kernel_log import OF_STORAGE, is_about, messages, said
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage

AGAIN = Threshold(2, "messages", because="judged: a request that fails once may have been tried again with success")
_FAILED_SO = (errno.EIO, errno.EROFS)


@dataclass(frozen=True, slots=True)
class FailsUnseen:
    """A device that the kernel says failed, while no call on its files was seen to fail."""

    device: str
    messages: Sequence[KernelMessage]
    file_system: Filesystem | None
    """A file system on it; None where none is watched."""

    @property
    def count(self) -> int:
        """Messages."""
        return sum(row.count or 0 for row in self.messages)

    @property
    def is_used(self) -> bool:
        """Whether a file system on it is mounted."""
        return self.file_system is not None


def measure(window: Window) -> Iterable[FailsUnseen]:
    """Each device that the kernel says failed within the window, but for those on which calls failed, too."""
    seen = [failed for error in _FAILED_SO for failed in failed_storage(window, error)]
    last = [rows[-1] for rows in window.series(Filesystem).values()]
    recent = [row for row in messages(window, *OF_STORAGE) if row.device and not row.earlier]
    for device, rows in grouped_by(recent, lambda row: row.device or "").items():
        if any(is_about(device, failed.culprit.id, failed.number) for failed in seen):
            continue
        mounted = next((row for row in last if is_about(device, row.device or "", row.device_number)), None)
        yield FailsUnseen(device, rows, mounted)


def explain(window: Window, suspect: FailsUnseen) -> Explanation:
    """What was written may be lost, and nobody was told."""
    mounted = suspect.file_system
    name = (mounted.device or "").removeprefix("/dev/") if mounted else suspect.device
    culprit = Entity("device", name or suspect.device, name or suspect.device)
    where = f" of {mounted.mount_point}" if mounted else ""
    is_redundant = all(row.message_kind == "raid_degraded" for row in suspect.messages)
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.messages[0].timestamp,
        victims=(),
        does="loses its redundancy" if is_redundant else "fails",
        detail=f"the kernel logged {times(suspect.count)} that it does" if not is_redundant else "",
        harm="",
        suffering_s=0.0,
        path=path(*said(window, suspect.messages)),
        refuted_by=f"`dmesg` has no I/O error and no file-system error of {culprit.name}",
        outlook=f"data{where} is lost with the next disk or path that fails"
        if is_redundant
        else f"data{where} that was written may be lost, and no program is told unless it calls fsync(2)",
        actions=(
            LOOK.on(culprit, f"read in `dmesg` what the kernel says about {culprit.name}. Copy what is still readable"),
        ),
    )


MECHANISM = Mechanism[FailsUnseen](
    fault=IO_ERRORS,
    summary="A device fails, and no call does: the kernel wrote data later than its programs, and says only in its log "
    "that it could not.",
    measure=measure,
    checks=(
        Check(
            id="is_used",
            says="a file system on the device is mounted",
            holds=lambda suspect: suspect.is_used,
            supports=2.0,
            refutes=4.0,
            because="judged: drives without a disk and sticks that were taken out answer with errors to those who look "
            "at them, and nobody misses anything",
        ),
        Check(
            id="again",
            says="the kernel says so more than once",
            holds=lambda suspect: suspect.count >= AGAIN,
            supports=1.0,
            refutes=1.0,
            because="judged: a defect shows again and again",
        ),
    ),
    explain=explain,
)
