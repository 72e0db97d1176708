"""Control groups that may read or write no faster than a limit says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.disk_latency import DISK_LATENCY
from kernelsight.diagnosis.io_limits import IO_LIMITS, IoLimit, is_at_limit, limit_claim, shares_of_group
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.processes import is_within, members
from kernelsight.diagnosis.remedies import RAISE_IO_LIMIT
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.storage import Waiter, slowed, wait_claims
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait


@dataclass(frozen=True, slots=True)
class LimitedGroup:
    """A control group in a stretch of seconds in which it did as much I/O as a limit lets pass."""

    group: str
    """Its path."""
    run: Interval
    limited: IoLimit
    waiting: Sequence[Waiter]
    """Its processes that waited for storage, those that waited longest first."""
    waits_are_recorded: bool
    deltas: Sequence[CounterDelta[Cgroup]]


def measure(window: Window) -> Iterable[LimitedGroup]:
    """Each group, limit and stretch in which it was reached. A limit of the root group is one of all I/O."""
    for (group,), deltas in window.deltas(Cgroup).items():
        for limited in IO_LIMITS if group != "/" else ():
            shares = shares_of_group(window, deltas, limited)
            for run in telling(runs(shares, is_at_limit)):
                yield _limited_group(window, str(group), window.during(deltas, run), run, limited)


def _limited_group(
    window: Window, group: str, deltas: Sequence[CounterDelta[Cgroup]], run: Interval, limited: IoLimit
) -> LimitedGroup:
    inside = {process.pid for process in members(window, deltas[-1].after)} | _counted_to(window, group)
    waiting = [waiter for waiter in slowed(window, run) if waiter.pid in inside]
    return LimitedGroup(group, run, limited, waiting, waits_are_recorded=bool(window.rows(Wait)), deltas=deltas)


def _counted_to(window: Window, group: str) -> set[int | None]:
    """The processes whose I/O counts to a group or to one below it, where that is a group of another hierarchy."""
    return {row.pid for row in window.rows(Process) if is_within(row.io_cgroup, group)}


def explain(window: Window, suspect: LimitedGroup) -> Explanation:
    """The kernel keeps the requests of the group back until it may make more."""
    culprit = Entity("cgroup", suspect.group, suspect.group)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        victims=tuple(waiter.entity for waiter in suspect.waiting[:5]),
        does="is at its I/O limit",
        harm=f"waits {of_every_second(suspect.waiting[0].waited_in(suspect.run), suspect.run.seconds)} for the disk"
        if suspect.waiting
        else "",
        suffering_s=sum(waiter.waited_in(suspect.run) for waiter in suspect.waiting),
        path=path(
            *wait_claims(window, suspect.waiting, suspect.run),
            limit_claim(window, suspect.deltas, suspect.limited),
        ),
        refuted_by=f"{culprit.name} is as slow with a higher limit",
        outlook=f"the processes of {culprit.name} go on waiting, however idle the disk is",
        actions=(RAISE_IO_LIMIT.on(culprit, f"raise what {culprit.name} may do (io.max, blkio.throttle)"),),
    )


MECHANISM = Mechanism[LimitedGroup](
    fault=DISK_LATENCY,
    summary="A control group wants more I/O than its limit lets pass, and the kernel keeps its requests back.",
    measure=measure,
    prior=Prior(
        2.5,
        because="judged: only a group that does as much I/O as a limit lets pass, and no more, is a suspect; it would "
        "be chance if it wanted no more than that",
    ),
    checks=(
        Check(
            id="members_wait",
            says="processes of the group wait for storage, or nothing records who waits",
            holds=lambda suspect: bool(suspect.waiting) or not suspect.waits_are_recorded,
            supports=1.5,
            refutes=3.0,
            because="judged: a group that the limit holds back waits for nothing else; one that happens to do as much "
            "as its limit does not wait (recorded: `limited_by_its_group`, where it holds)",
        ),
    ),
    explain=explain,
)
