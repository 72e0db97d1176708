"""How much of a kernel limit is in use, and by whom, as far as the window's rows tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.limits import OPEN_FILES, KernelLimit
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.limit import Limit, LimitHolder
from kernelsight.events.process import Process
from kernelsight.signals.rules.processes import DESCRIPTORS_USED_PERCENT

MET_SHARE = Threshold(
    0.98, "share of a limit", because="judged: it is sampled every few seconds, while objects come and go"
)
HOLDS_MUCH = Threshold(
    0.3, "share of what is held", because="judged: from so much on, a process is the holder, and not one of many"
)
MANY_FILES = Threshold(
    10_000,
    "open files of one process",
    because="calculated: a tenth of what fs.file-max is by default with 1 GiB of memory (files_maxfiles_init in "
    "fs/file_table.c: a file for each 10 KiB)",
)
NEAR_SHARE = Threshold(
    DESCRIPTORS_USED_PERCENT / 100,
    "share of the descriptors that a process may have",
    because="judged: samples show one moment of each second; a process that is refused more has nearly all open in "
    "most of them. As the signal `descriptors_near_limit`",
)


@dataclass(frozen=True, slots=True)
class LimitUse:
    """The samples of one limit, for one user or for all together."""

    rows: Sequence[Limit]
    """Empty where nobody recorded it."""

    @property
    def share(self) -> float | None:
        """The largest share of the limit that was in use; None where that is not known."""
        return max((row.used / row.maximum for row in self.rows if row.used is not None and row.maximum), default=None)

    @property
    def is_met(self) -> bool | None:
        """Whether the limit was met within the window; None where that is not known."""
        return None if self.share is None else self.share >= MET_SHARE

    @property
    def fullest(self) -> Limit:
        """The sample with the most in use; only where there is one."""
        return max(self.rows, key=lambda row: (row.used or 0, row.timestamp))

    def shown(self, window: Window) -> tuple[Evidence | None, ...]:
        """The numbers that show it."""
        return window.evidence(self.rows, Limit.used, "max"), window.evidence(self.rows, Limit.maximum, "last")


@dataclass(frozen=True, slots=True)
class Holding:
    """What one process holds of the objects that a limit counts, and the share of all that is held."""

    entity: Entity
    held: int
    share: float
    evidence: Evidence | None


def use_of(window: Window, name: str, uid: int | None = None) -> LimitUse:
    """The use of a limit: of this user if it has samples of its own, else of all together."""
    series = window.series(Limit)
    return LimitUse(series.get((name, uid)) or series.get((name, None), ()))


def largest_holder(window: Window, limit: KernelLimit, uid: int | None, use: LimitUse) -> Holding | None:
    """Who holds most of what a limit counts; None where nobody holds much of it, or nothing tells.

    Samples show a part of the holders. All that is in use is at least what they hold together, and more where the
    use of the limit is known; without it, open files are taken for a lot from :data:`MANY_FILES` on.
    """
    rows: Sequence[Process | LimitHolder]
    if limit.name == OPEN_FILES:
        rows = window.rows(Process)
    else:
        rows = [row for row in window.rows(LimitHolder) if row.limit_name == limit.name]
    last = {row.pid: row for row in rows if _held(row) and (uid is None or row.uid in {None, uid})}
    if not last:
        return None
    row = max(last.values(), key=lambda row: (_held(row), -(row.pid or 0)))
    held = _held(row)
    in_use = max(sum(map(_held, last.values())), (use.fullest.used or 0) if use.rows else 0)
    share = held / in_use
    if share < HOLDS_MUCH or (limit.name == OPEN_FILES and not use.rows and held < MANY_FILES):
        return None
    entity = process_entity(row.pid, row.comm)
    if isinstance(row, Process):
        shown = window.evidence([row], Process.fds, "last")
    else:
        shown = window.evidence([row], LimitHolder.held, "last")
    return Holding(entity, held, share, shown)


def _held(row: Process | LimitHolder) -> int:
    return (row.fds if isinstance(row, Process) else row.held) or 0


def uid_of(window: Window, pid: int) -> int | None:
    """The user of a process; None where no sample tells."""
    known = window.once(processes).get(pid)
    return known.samples[-1].uid if known and known.samples else None


def near_own_limit(window: Window, pid: int) -> bool | None:
    """Whether a process had nearly all the descriptors open that it may have; None where that is not known."""
    process = window.once(processes).get(pid)
    samples = [(row.fds, row.fd_limit) for row in process.samples] if process else []
    known = [(fds, limit) for fds, limit in samples if fds is not None and limit]
    return any(fds >= NEAR_SHARE * limit for fds, limit in known) if known else None
