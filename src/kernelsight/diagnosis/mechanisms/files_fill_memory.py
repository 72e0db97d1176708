"""Files of tmpfs and shared memory that grow: they are in no process, and belong to the one that writes them."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.exhaustible import HORIZON_S
from kernelsight.diagnosis.faults.memory_leak import MEMORY_LEAK
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, Prior, claim
from kernelsight.diagnosis.mechanisms.process_never_frees_memory import process_growths
from kernelsight.diagnosis.memory_growth import (
    GROWTH_CHECKS,
    LEAST_S,
    STEADY,
    MemoryGrowth,
    explanation,
    grown_by,
    has_more_to_do,
    kills_meanwhile,
    largest_fall_kb,
    matters,
    seconds_of_work,
    somebody_suffers,
)
from kernelsight.diagnosis.memory_use import KIB, holders, machine
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend, straight
from kernelsight.diagnosis.window import Window
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.quantities import quantity

LEAST_WRITTEN = Threshold(
    0.5,
    "bytes written for each that the files grow by",
    because="judged: a process that writes less does not fill them alone",
)
MOST_WRITTEN = Threshold(
    2.0,
    "bytes written for each that the files grow by",
    because="judged: a process that writes more writes elsewhere, too, and need not be the one",
)


def measure(window: Window) -> Iterable[MemoryGrowth]:
    """Files in memory that grow, with the process that writes as much; not where a process has them mapped."""
    whole, levels = window.once(machine), window.rows(Memory)
    going = straight(levels, Memory.shmem_kb, least_s=LEAST_S)
    if whole is None or not matters(going) or any(growth.is_shared for growth in window.once(process_growths)):
        return
    until_s = whole.left_kb / going.per_second
    written = [(grown_by(window, holder, going, Process.write_chars) / KIB, holder) for holder in window.once(holders)]
    most, writer = max(written, key=lambda pair: pair[0], default=(0.0, None))
    if writer is None or until_s > HORIZON_S or not _is_as_much(most, going):
        return
    yield MemoryGrowth(
        writer,
        going,
        whole,
        until_s,
        read_kb=grown_by(window, writer, going, Process.read_chars) / KIB,
        worked_s=seconds_of_work(window, writer, going),
        given_back_kb=largest_fall_kb(levels, Memory.shmem_kb),
        room_kb=_room_in_tmpfs_kb(window, going),
        is_busier=has_more_to_do(writer),
        memory_is_short=somebody_suffers(window, whole, going),
        somebody_is_killed=kills_meanwhile(window, whole, going),
    )


def _is_as_much(kb: float, going: Trend) -> bool:
    grown_kb = going.last - going.first
    return LEAST_WRITTEN * grown_kb <= kb <= MOST_WRITTEN * grown_kb


def _room_in_tmpfs_kb(window: Window, going: Trend) -> float | None:
    """What is left of the file system in memory that grows as fast; None where there is none, or it has no size."""
    for rows in window.series(Filesystem).values():
        left = [row.avail_bytes for row in rows if row.timestamp >= going.onset_ns and row.avail_bytes is not None]
        if rows[-1].fs_type == "tmpfs" and left and _is_as_much((left[0] - left[-1]) / KIB, going):
            return float(left[-1]) / KIB
    return None


def explain(window: Window, growth: MemoryGrowth) -> Explanation:
    """The files take the memory that is left: they cannot be read again from anywhere."""
    writer, going = growth.holder.entity, growth.trend
    does = f"writes {quantity(going.per_second, 'KiB/s')} to files that are in memory"
    since = [row for row in growth.holder.samples if row.timestamp >= going.onset_ns]
    wrote = claim(
        f"meanwhile {writer.name} ({writer.id}) wrote as much",
        window.evidence(since, Process.write_chars, "increase"),
    )
    return explanation(window, growth, "the size of files in memory", does=does, meanwhile=wrote)


MECHANISM = Mechanism[MemoryGrowth](
    fault=MEMORY_LEAK,
    summary="A process writes ever more to files in memory (tmpfs, shared memory), which will use it up within two "
    "hours.",
    measure=measure,
    prior=Prior(3.0, because=STEADY),
    checks=GROWTH_CHECKS,
    explain=explain,
)
