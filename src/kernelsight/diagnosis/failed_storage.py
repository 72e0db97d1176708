"""Calls on files that fail because what holds the files is broken, by the file system that they are on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.kernel_log import of_device
from kernelsight.diagnosis.mechanism import Explanation, claim, path
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.syscalls import SyscallError
from kernelsight.linux.syscalls import (
    CHANGES_METADATA,
    CHANGES_SIZE,
    COMMITS,
    COPIES,
    EXECS,
    MAKES_NAMES,
    OPENS,
    READS,
    READS_NAMES,
    REMOVES_NAMES,
    WRITES,
)

_ON_FILES = (
    READS | WRITES | COMMITS | COPIES | OPENS | CHANGES_SIZE | MAKES_NAMES | READS_NAMES | REMOVES_NAMES
    | CHANGES_METADATA | EXECS | {"close"}
)  # fmt: skip
"""Calls that fail so because of storage; ioctl(2) fails so for reasons of each driver."""
_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
"""File systems without a device that could break; the device files of terminals lie in some of them."""


@dataclass(frozen=True, slots=True)
class FailedStorage:
    """Calls that failed with one error on one file system."""

    number: str | None
    """Its device number; None where the calls do not tell it."""
    file_system: Sequence[Filesystem]
    """Its samples; none where it is not watched."""
    rows: Sequence[SyscallError]

    @property
    def is_storage(self) -> bool:
        """Whether it is a file system that is known, and is not one in memory."""
        return bool(self.file_system) and self.file_system[-1].fs_type not in _IN_MEMORY

    @property
    def calls(self) -> frozenset[str]:
        """Names of the system calls that failed."""
        return frozenset(row.syscall_name for row in self.rows if row.syscall_name)

    @property
    def count(self) -> int:
        """How many calls failed."""
        return sum(row.count or 0 for row in self.rows)

    @property
    def culprit(self) -> Entity:
        """The device of the file system, else its mount, else its number; storage as such where nothing is known."""
        if self.file_system:
            last = self.file_system[-1]
            device, mount = str(last.device or ""), str(last.mount_point)
            if device.startswith("/dev/"):
                name = device.removeprefix("/dev/")
                return Entity("device", name, name)
            return Entity("mount", mount, mount)
        if self.number is not None:
            return Entity("device", self.number, self.number)
        return Entity("machine", "storage", "storage")

    def said(self, window: Window, *kinds: str) -> Sequence[KernelMessage]:
        """What the kernel said of its device, in messages of some kinds."""
        return of_device(window, self.culprit.id, self.number, *kinds)

    @property
    def place(self) -> str:
        """Where they failed, in words that follow a verb, and what is not known of it."""
        if self.file_system:
            return f"on {self.file_system[-1].mount_point} ({self.culprit.name})"
        if self.number is not None:
            return f"on file system {self.number}. Its device is not known, because no watched mount has this number"
        return "on a file system that is not known, because the calls do not tell it"


def failed_storage(window: Window, error: int) -> Iterator[FailedStorage]:
    """The calls on files that failed with an error, of each file system apart."""
    failed = [row for row in window.rows(SyscallError) if row.errno == error and row.syscall_name in _ON_FILES]
    if not failed:
        return
    samples = window.series(Filesystem).values()
    watched = {rows[-1].device_number or "": rows for rows in samples}
    for number, rows in grouped_by(failed, lambda row: row.device_number).items():
        yield FailedStorage(number, watched.get(number, ()) if number else (), rows)


def explanation(
    window: Window, failed: FailedStorage, *more: Step | None, does: str, refuted_by: str, outlook: str
) -> Explanation:
    """Whose calls failed on which file system, with which calls.

    Args:
        window: where they are from.
        failed: the calls.
        more: further claims.
        does: what the culprit does.
        refuted_by: what would show that it is not so.
        outlook: what happens if nothing is done.
    """
    by_process = grouped_by(failed.rows, lambda row: row.pid)
    of_most = sorted(by_process.items(), key=lambda item: -sum(row.count or 0 for row in item[1]))
    programs = [process_entity(pid, rows[-1].comm) for pid, rows in of_most]
    culprit, calls = failed.culprit, ", ".join(sorted(failed.calls))
    return Explanation(
        culprit=culprit,
        onset_ns=failed.rows[0].timestamp,
        victims=tuple(programs[:5]),
        does=does,
        harm=f"gets {failed.rows[-1].error} for {calls}, {times(sum(row.count or 0 for row in of_most[0][1]))}",
        suffering_s=0.0,
        path=path(
            claim(
                f"{failed.count} calls ({calls}) of {_listed(programs)} failed with {failed.rows[-1].error} "
                f"{failed.place}",
                window.evidence(failed.rows, SyscallError.count, "sum"),
            ),
            *more,
        ),
        refuted_by=refuted_by,
        outlook=outlook,
        actions=(
            LOOK.on(
                culprit,
                f"read in `dmesg` what the kernel says about {culprit.name}. Copy what is still readable",
            ),
        ),
    )


def _listed(programs: Sequence[Entity]) -> str:
    first = f"{programs[0].name} ({programs[0].id})"
    return first if len(programs) == 1 else f"{first} and {len(programs) - 1} other processes"
