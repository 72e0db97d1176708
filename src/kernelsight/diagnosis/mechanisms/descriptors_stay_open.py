"""A process that opens descriptors and does not close them, until it has as many as it may have."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.errors import Failures, failures
from kernelsight.diagnosis.exhaustible import DESCRIPTORS
from kernelsight.diagnosis.faults.fd_leak import FD_LEAK
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.limit_use import near_own_limit
from kernelsight.diagnosis.limits import DESCRIPTOR_CALLS, OTHER_DESCRIPTOR_CALLS
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.remedies import RAISE_FILE_LIMIT, RESTART
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.diagnosis.unclosed import unclosed
from kernelsight.diagnosis.window import Window
from kernelsight.events.process import Process
from kernelsight.quantities import number

LEAST_GROWTH = Threshold(
    20, "descriptors", because="judged: a program that starts, or serves a request, opens some and keeps them"
)
AGAIN = Threshold(
    3, "failed calls", because="judged: a program that only tries out how many it may have is refused once or twice"
)


@dataclass(frozen=True, slots=True)
class OpenDescriptors:
    """The descriptors of a process whose number grows, or that is refused one more."""

    process: Entity
    rows: Sequence[Process]
    growth: Trend | None
    limit: int | None
    """As many as it may have."""
    until_s: float | None
    """When it will have as many; None where it is not on the way there."""
    ends_soon: bool
    """Whether that is soon, if it goes on like this."""
    refused: Failures | None
    """Its calls that failed for want of a descriptor."""
    near_limit: bool | None
    """Whether it had nearly as many as it may have; None: not known, or not asked as growth tells enough."""
    are_unclosed_connections: bool
    """Whether connections pile up with it that the other side has closed."""

    @property
    def refused_calls(self) -> int:
        """How many calls failed."""
        return self.refused.count if self.refused else 0

    @property
    def onset_ns(self) -> int:
        """When its descriptors began to grow, or its first call failed."""
        begun = [self.growth.onset_ns] if self.growth else []
        return min([*begun, self.refused.first_ns] if self.refused else begun)

    @property
    def is_only_refused(self) -> bool:
        """Whether failed calls alone tell that it has as many as it may have."""
        return self.refused is not None and not self.ends_soon


def measure(window: Window) -> Iterable[OpenDescriptors]:
    """Each process that will have all its descriptors open soon, or is refused one more."""
    refused_by = {
        refused.entity.id: refused
        for refused in failures(window, {errno.EMFILE}, DESCRIPTOR_CALLS | OTHER_DESCRIPTOR_CALLS)
    }
    with_unclosed = {rows[-1].pid for rows in window.once(unclosed)}
    for rows in window.series(Process).values():
        last = rows[-1]
        if last.pid is None:
            continue
        growth = trend(rows, Process.fds, up=True)
        ends_soon = DESCRIPTORS.ends_soon(growth, last.fd_limit)
        refused = refused_by.get(str(last.pid))
        if refused is not None and not _is_refused_descriptors(window, last.pid, refused):
            refused = None  # another limit is met (`kernel_limit`)
        grows = ends_soon and growth is not None and growth.last - growth.first >= LEAST_GROWTH
        if refused is None and not grows:
            continue
        asks_limit = refused is not None and not ends_soon
        yield OpenDescriptors(
            process=process_entity(last.pid, last.comm),
            rows=rows,
            growth=growth,
            limit=last.fd_limit,
            until_s=DESCRIPTORS.ends_in_s(growth, last.fd_limit),
            ends_soon=ends_soon,
            refused=refused,
            near_limit=near_own_limit(window, last.pid) if asks_limit else None,
            are_unclosed_connections=last.pid in with_unclosed,
        )


def _is_refused_descriptors(window: Window, pid: int, refused: Failures) -> bool:
    """Whether calls failed that have no other limit, or whose process is at its own limit of descriptors."""
    return bool(DESCRIPTOR_CALLS & {*refused.calls}) or near_own_limit(window, pid) is True


def explain(window: Window, suspect: OpenDescriptors) -> Explanation:
    """The process itself suffers: it can open nothing more."""
    culprit, growth, refused = suspect.process, suspect.growth, suspect.refused
    rows = growth.rows if growth else suspect.rows
    has = (
        f"its open descriptors grow from {growth.first:.0f} to {growth.last:.0f}, {growth.per_second:.1f} a second"
        if growth
        else f"it has {suspect.rows[-1].fds} descriptors open"
    )
    unseen = (
        ". It met the limit between two samples, or its limit was another one then"
        if suspect.near_limit is False
        else ""
    )
    open_now = growth.last if growth else rows[-1].fds or 0
    allowed = f"{open_now:,.0f} of {suspect.limit:,} descriptors" if suspect.limit else f"{open_now:,.0f} descriptors"
    soon = f" in {suspect.until_s:.0f} s" if suspect.until_s and refused is None else ""
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.onset_ns,
        victims=(culprit,),
        does="has all its descriptors open"
        if refused
        else f"opens {number(round(growth.per_second, 1))} descriptors a second and does not close them"
        if growth
        else "has nearly all its descriptors open",
        detail=allowed,
        harm=f"gets {refused.error} for more, {times(refused.count)}" if refused else f"can open no more{soon}",
        suffering_s=0.0,
        path=path(
            claim(f"{refused.count} calls of {culprit.name} failed with {refused.error}", refused.evidence)
            if refused
            else None,
            claim(
                f"{has}, and may have {suspect.limit}{unseen}",
                window.evidence(rows, Process.fds, "last"),
                window.evidence(rows, Process.fds, "slope"),
            ),
        ),
        refuted_by=f"{culprit.name} closes the descriptors by itself",
        outlook=f"{culprit.name} can open no file, accept no connection and start no program{soon}",
        actions=(
            RAISE_FILE_LIMIT.on(culprit, f"raise the limit of open files of {culprit.name}, to gain time"),
            RESTART.on(culprit, f"restart {culprit.name}"),
        ),
    )


MECHANISM = Mechanism[OpenDescriptors](
    fault=FD_LEAK,
    summary="A process opens descriptors and does not close them. At its limit (RLIMIT_NOFILE), its calls fail with "
    "EMFILE.",
    measure=measure,
    prior=Prior(
        2.0,
        because="judged: only a process that will be at its limit soon, or whose calls fail with EMFILE, is a suspect",
    ),
    checks=(
        Check(
            id="keeps_opening",
            says="it opens descriptors and does not close them",
            holds=lambda suspect: suspect.growth is not None,
            supports=1.5,
            refutes=0.5,
            because="judged: it is what a leak consists of; a process that has been at its limit for the whole window "
            "grows no more",
        ),
        Check(
            id="near_its_limit",
            says="it has nearly as many descriptors open as it may have",
            holds=lambda suspect: (
                suspect.near_limit is not False if suspect.is_only_refused and suspect.refused_calls >= AGAIN else None
            ),
            supports=0.0,
            refutes=1.0,
            because="judged: EMFILE of these calls means nothing else (open(2)), but samples show one moment of each "
            "second and the table of the first thread; programs meet a limit between two samples, or change it",
        ),
        Check(
            id="no_single_try",
            says="it has nearly as many descriptors open as it may have, though few of its calls failed",
            holds=lambda suspect: (
                suspect.near_limit is not False if suspect.is_only_refused and suspect.refused_calls < AGAIN else None
            ),
            supports=0.0,
            refutes=4.0,
            because="judged: a program that is far from its limit and was refused once or twice tried out how many "
            "descriptors it may have",
        ),
        Check(
            id="no_unclosed_connections",
            says="the descriptors are not connections that the other side has closed",
            holds=lambda suspect: not suspect.are_unclosed_connections,
            supports=1.0,
            refutes=4.0,
            because="judged: such connections pile up in CLOSE_WAIT (tcp(7)), and are told as `connection_leak`",
        ),
    ),
    explain=explain,
)
