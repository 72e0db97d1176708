"""Memory that grows at a steady rate towards its limit: what is measured of it, and what tells a leak from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from kernelsight.diagnosis.exhaustible import FORESIGHT_TIMES
from kernelsight.diagnosis.mechanism import Check, Explanation, claim, path
from kernelsight.diagnosis.memory_use import FULL_SHARE, KIB, AnyDomain, Holder, killed_in, short
from kernelsight.diagnosis.model import Entity, Proposal, Step
from kernelsight.diagnosis.remedies import LIMIT_MEMORY, RESTART
from kernelsight.diagnosis.storage import waiters
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window
from kernelsight.events.fields import Metric, getter
from kernelsight.events.process import Process
from kernelsight.quantities import quantity

LEAST_S = Threshold(
    5.0, "s", because="judged: to start a program, or to serve a single request, is over by then; memory must grow on"
)
LEAST_KB = Threshold(
    4096,
    "KiB",
    because="judged: allocators take memory by the mebibyte, used or not (glibc's heaps, Python's arenas of 1 MiB)",
)
BOLD_TIMES = Threshold(
    5 * FORESIGHT_TIMES,
    "times as long as it has been seen",
    because="judged: to say of memory that grew for ten seconds that it will be used up in an hour is bold; beyond "
    "that, it is no more than a guess",
)
SAFE_TIMES = Threshold(
    FORESIGHT_TIMES / 6,
    "times as long as it has been seen",
    because="judged: from a tenth of the way, its end can be foreseen",
)
LOADS_SHARE = Threshold(
    0.5, "share of what it grew by", because="judged: a process that reads so much may keep what it has read"
)
RESTS_SHARE = Threshold(
    0.5,
    "share of the time",
    because="judged: a program that runs, or waits for a CPU or for storage, less than that does not grow because it "
    "computes or loads",
)
GIVEN_BACK_SHARE = Threshold(
    0.3,
    "share of what it grew by",
    because="judged: a process that gave back more before uses memory in turns",
)
MAPPED_SHARE = Threshold(
    0.25,
    "share of what it grew by",
    because="judged: a process that maps less anew only fills what it had mapped before",
)
BUSIER_TIMES = Threshold(
    2.0,
    "times as many threads or descriptors",
    because="judged: from twice its load on, memory may follow the load",
)
ALIVE_S = Threshold(
    3.0, "s", because="a process has a sample every second; one without has ended, or its growth is not known"
)
FEW_MORE = Threshold(
    8, "threads or descriptors", because="judged: a process that has few may have twice as many by chance"
)


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """A process that grows, or fills files in memory, and the memory that it will use up first."""

    holder: Holder
    trend: Trend
    domain: AnyDomain
    until_s: float
    """When the memory will be used up, from the last sample on."""
    is_shared: bool = False
    """Whether the process has mapped what grows, and others may have, too."""
    read_kb: float = 0.0
    """What the process read meanwhile, from wherever."""
    worked_s: float = 0.0
    """How long it ran, or waited for a CPU or for storage meanwhile."""
    given_back_kb: float = 0.0
    """The most that it gave back before, within the window."""
    room_kb: float | None = None
    """What it can still grow by without asking for more than it has set aside; None: it asks for more, or not known."""
    is_busier: bool = False
    """Whether its threads or descriptors grew along."""
    memory_is_short: bool = False
    """Whether processes suffer for want of the memory already."""
    somebody_is_killed: bool = False
    """Whether the kernel killed a process for want of it meanwhile."""

    @property
    def seen_s(self) -> float:
        """How long it has been seen to grow."""
        return self.trend.seconds

    @property
    def grown_kb(self) -> float:
        """By how much it grew."""
        return self.trend.last - self.trend.first


def matters(going: Trend | None) -> TypeGuard[Trend]:
    """Whether growth is large enough to be looked at."""
    return going is not None and going.per_second > 0 and going.last - going.first >= LEAST_KB


def grown_by(window: Window, holder: Holder, going: Trend, *metrics: Metric[Process]) -> float:
    """How much counters of a process grew while the level did."""
    deltas = [delta for delta in holder.deltas(window) if delta.before.timestamp >= going.onset_ns]
    return sum(delta.of(metric) for delta in deltas for metric in metrics)


def seconds_of_work(window: Window, holder: Holder, going: Trend) -> float:
    """How long a process ran, or waited for a CPU or for storage, while it grew."""
    ran_s = grown_by(window, holder, going, Process.utime_ms, Process.stime_ms) / 1e3
    waiter = window.once(waiters).get(holder.samples[-1].pid or 0)
    stored_s = waiter.waited_in(stretch_of(window, going)) if waiter else 0.0
    return ran_s + grown_by(window, holder, going, Process.cpu_delay_ns) / NS_PER_S + stored_s


def largest_fall_kb(rows: Sequence[Any], metric: Metric[Any]) -> float:
    """The most that a level fell by within the window."""
    highest = given_back = 0.0
    for value in map(getter(metric), rows):
        level = float(value or 0)
        highest = max(highest, level)
        given_back = max(given_back, highest - level)
    return given_back


def has_more_to_do(holder: Holder) -> bool:
    """Whether a process has twice as much to do as when the window began."""
    first, *_, last = holder.samples
    return any(
        now is not None and (before or 0) > 0 and now >= BUSIER_TIMES * (before or 0) + FEW_MORE
        for before, now in ((first.threads, last.threads), (first.fds, last.fds))
    )


def somebody_suffers(window: Window, domain: AnyDomain, going: Trend) -> bool:
    """Whether processes suffer for want of memory already: then it is told as that."""
    run = stretch_of(window, going)
    tight = any(stretch.last >= run.last - ALIVE_S for stretch in short(window, domain))
    return tight and domain.most_used(window, run) >= FULL_SHARE


def kills_meanwhile(window: Window, domain: AnyDomain, going: Trend) -> bool:
    """Whether the kernel killed a process for want of memory while it grew: then it is told as that."""
    return killed_in(window, domain, stretch_of(window, going))


def stretch_of(window: Window, going: Trend) -> Interval:
    """The seconds in which a level grew."""
    return Interval(window.second(going.rows[0]), window.second(going.rows[-1]))


def explanation(  # noqa: PLR0913 - what differs between what grows, by keyword
    window: Window, growth: MemoryGrowth, grows: str, *, does: str, detail: str = "", meanwhile: Step | None = None
) -> Explanation:
    """What follows from growth; `grows` is what does, in a sentence, `does` and `detail` what the culprit does."""
    going, domain, culprit = growth.trend, growth.domain, growth.holder.entity
    rows = [row for row in domain.rows if row.timestamp >= going.onset_ns] or domain.rows[-1:]
    return Explanation(
        culprit=culprit,
        onset_ns=going.onset_ns,
        victims=(culprit,),
        does=does,
        detail=detail,
        harm=f"uses up the memory of {domain.owner} in {quantity(growth.until_s, 's')}",
        suffering_s=0.0,
        path=path(
            claim(
                f"{grows} grew from {going.first / KIB:,.0f} to {going.last / KIB:,.0f} MiB in {going.seconds:.0f} s",
                window.evidence(going.rows, going.metric, "last"),
                window.evidence(going.rows, going.metric, "slope"),
            ),
            meanwhile,
            claim(
                f"{domain.owner} has {domain.left_kb / KIB:,.0f} of {domain.limit_kb / KIB:,.0f} MiB left",
                domain.shown_used(window, rows, "last"),
            ),
        ),
        refuted_by=f"{culprit.name} stops growing by itself, or gives memory back",
        outlook=f"the memory of {domain.owner} is used up in {growth.until_s:,.0f} s, and the kernel kills a process",
        actions=_actions(culprit),
    )


def _actions(culprit: Entity) -> tuple[Proposal, ...]:
    return (
        RESTART.on(culprit, f"restart {culprit.name}, to gain time"),
        LIMIT_MEMORY.on(culprit, f"limit the memory of {culprit.name}, so that nobody else is killed for it"),
    )


STEADY = (
    "judged: only memory that grows in a straight line to the end, and will use up all there is within two hours, is a "
    "suspect; what programs take as they start, or in turns, does not grow so"
)
"""Why growth alone makes a leak likely."""
GROWTH_CHECKS: tuple[Check[MemoryGrowth], ...] = (
    Check(
        id="foreseen_boldly",
        says="it has been seen to grow for long enough to foresee that it uses the memory up",
        holds=lambda growth: growth.until_s <= BOLD_TIMES * growth.seen_s,
        supports=0.5,
        refutes=4.0,
        because="judged: nearly everything grows for some seconds (recorded: `loop_in_the_kernel`)",
    ),
    Check(
        id="foreseen_fairly",
        says="it has been seen to grow for a good part of the way",
        holds=lambda growth: growth.until_s <= FORESIGHT_TIMES * growth.seen_s,
        supports=1.0,
        refutes=0.5,
        because="judged: the longer it grows, the less likely does it stop by itself (recorded: `keeps_every_answer`, "
        "where it holds at the end and fails before)",
    ),
    Check(
        id="limit_is_near",
        says="the limit is near",
        holds=lambda growth: growth.until_s <= SAFE_TIMES * growth.seen_s,
        supports=2.0,
        refutes=0.0,
        because="judged: nothing but luck ends it before the limit; far limits are met as well (recorded: "
        "`grows_towards_its_limit`, `keeps_every_answer`)",
    ),
    Check(
        id="does_not_load",
        says="it reads less than it keeps: it does not load data",
        holds=lambda growth: growth.read_kb < LOADS_SHARE * growth.grown_kb,
        supports=0.5,
        refutes=6.0,
        because="judged: a program that loads a file or a snapshot ends with it",
    ),
    Check(
        id="does_not_compute",
        says="it computes little, and hardly waits for storage, while it grows",
        holds=lambda growth: growth.worked_s < RESTS_SHARE * growth.seen_s,
        supports=1.0,
        refutes=5.0,
        because="judged: a large computation takes memory as long as it runs, and ends (recorded: "
        "`loop_in_the_kernel`); an endless loop that leaks is found when its limit is near. A program "
        "that is slow to start, because the disk is, takes its memory as it starts",
    ),
    Check(
        id="gives_nothing_back",
        says="it gave no memory back before",
        holds=lambda growth: growth.given_back_kb < GIVEN_BACK_SHARE * growth.grown_kb,
        supports=0.5,
        refutes=5.0,
        because="judged: a program that collects its garbage, or works in turns, falls as often as it grows",
    ),
    Check(
        id="asks_for_more",
        says="its growth does not end with what it has reserved",
        holds=lambda growth: growth.room_kb is None or growth.room_kb >= growth.domain.left_kb,
        supports=0.0,
        refutes=8.0,
        because="judged: a heap, a cache or shared buffers are mapped when a program starts and filled as it is used; "
        "a file system in memory has a size; that ends before the memory does, whatever else holds",
    ),
    Check(
        id="load_is_the_same",
        says="its threads and descriptors do not grow with it",
        holds=lambda growth: not growth.is_busier,
        supports=0.3,
        refutes=1.5,
        because="judged: the memory of a server follows its load (recorded: `loop_in_the_kernel`); some programs leak "
        "both",
    ),
    Check(
        id="still_to_come",
        says="there is memory left, and no process suffers for want of it",
        holds=lambda growth: not (growth.memory_is_short or growth.somebody_is_killed),
        supports=0.0,
        refutes=8.0,
        because="judged: what is here already is told as `memory_pressure` or `oom_kill`, whatever else holds",
    ),
)
