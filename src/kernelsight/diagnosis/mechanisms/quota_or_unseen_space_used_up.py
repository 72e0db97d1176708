"""Calls that fail for want of space, though no file system that is seen is full: a quota, or one that is not seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernelsight.diagnosis.errors import Failures
from kernelsight.diagnosis.faults.disk_full import DISK_FULL
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.mechanisms.files_take_all_space import space_uses
from kernelsight.diagnosis.mounts import QUOTA, full_mounts, mount_of, no_space
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.window import Window
from kernelsight.quantities import number


@dataclass(frozen=True, slots=True)
class Refused:
    """Calls of a process that failed for want of space."""

    failures: Failures
    mount: str | None
    """Where the file system is mounted; None where it is not seen."""

    @property
    def is_quota(self) -> bool:
        """Whether the kernel says that a quota is used up (EDQUOT)."""
        return self.failures.error == QUOTA

    @property
    def place(self) -> str:
        """Where they failed, in words that may follow a verb; empty where that is not known."""
        if self.mount:
            return f" on {self.mount}"
        return f" on a file system {self.failures.device_number}" if self.failures.device_number else ""


def measure(window: Window) -> Iterable[Refused]:
    """Each process whose calls failed for want of space that no full file system explains."""
    numbers = {rows[-1].device_number for rows in window.once(full_mounts)}
    numbers |= {use.rows[-1].device_number for use in window.once(space_uses)}
    for failures in window.once(no_space):
        if not _is_explained(failures, numbers):
            yield Refused(failures, mount_of(window, failures))


def _is_explained(failures: Failures, numbers: set[str | None]) -> bool:
    """Whether calls failed because of a file system that is full, or will be soon."""
    if failures.error == QUOTA:
        return False
    if failures.device_number is None or None in numbers:
        return bool(numbers)
    return failures.device_number in numbers


def explain(window: Window, suspect: Refused) -> Explanation:  # noqa: ARG001 - every mechanism is asked alike
    """The process can write nothing more there."""
    failures = suspect.failures
    culprit = failures.entity
    unknown = "" if suspect.place else ". The file system is not known"
    remedy = "its quota is used up: raise it (setquota), or remove files" if suspect.is_quota else "see where it writes"
    return Explanation(
        culprit=culprit,
        onset_ns=failures.first_ns,
        victims=(culprit,),
        does="gets no more space",
        detail=f"{number(failures.count)} of its calls failed with {failures.error}{suspect.place}",
        harm=f"can write nothing{suspect.place}",
        suffering_s=0.0,
        path=path(
            claim(
                f"{failures.count} calls of {culprit.name} failed with {failures.error}{suspect.place}{unknown}",
                failures.evidence,
            )
        ),
        refuted_by=f"the calls fail as well when some files of {culprit.name} are removed",
        outlook=f"{culprit.name} can write nothing{suspect.place}",
        actions=(LOOK.on(culprit, remedy),),
    )


MECHANISM = Mechanism[Refused](
    fault=DISK_FULL,
    summary="Calls that write fail for want of space, and no file system that is seen is full: a quota is used up "
    "(EDQUOT), or a file system that is not seen from here.",
    measure=measure,
    prior=Prior(
        2.0,
        because="the kernel says itself that there is no space (ENOSPC, EDQUOT of write(2)); calls for which it means "
        "something else are left out",
    ),
    checks=(
        Check(
            id="is_a_quota",
            says="it is known what is used up",
            holds=lambda suspect: suspect.is_quota,
            supports=1.0,
            refutes=0.5,
            because="judged: EDQUOT means a quota and nothing else (write(2)); of ENOSPC without a full file system, "
            "the cause is not seen",
        ),
    ),
    explain=explain,
)
