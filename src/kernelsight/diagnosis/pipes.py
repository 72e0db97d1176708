"""Writers of pipes that wait for the reader, and how it was before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import Use, cpu_use
from kernelsight.diagnosis.cpu_time import shown as used
from kernelsight.diagnosis.duration import Duration, duration_of
from kernelsight.diagnosis.lock_queues import waited
from kernelsight.diagnosis.mechanism import Check, Explanation, claim, path
from kernelsight.diagnosis.model import Entity, Evidence, Proposal
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, shown, waiting
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.pending_wait import PendingWait
from kernelsight.linux.syscalls import WRITES

HELD_UP_SHARE = Threshold(
    0.6, "share of the time", because="judged: a writer that waits for so much of it is as slow as its reader"
)
FREE_SHARE = Threshold(
    0.3, "share of the time", because="judged: before, most of its time was its own, so the reader kept up"
)
KNOWN_S = Threshold(
    5,
    "s in which it worked",
    because="judged: what fills a pipe at once and waits, as before a pager, works for a moment only",
)
WORKS_S = Threshold(0.001, "s of CPU a second", because="judged: less is no work to speak of")


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A stretch in which a writer waited for the reader of its pipe most of the time."""

    run: Interval
    duration: Duration
    writer: Entity
    reader: Entity
    share: float
    """Of the time, that in which the writer waited."""
    share_before: float | None
    """The same in the seconds before in which the writer worked; None: too few of them are known."""
    ran: float
    """CPUs that the reader used."""
    kept_from_cpu_share: float
    """Of the time in which the reader wanted a CPU, that in which it had none."""
    edges: Sequence[Edge]
    pending: Sequence[PendingWait]

    @property
    def waits_for_user(self) -> bool | None:
        """Whether the reader was seen to wait at a terminal; None: not known."""
        seen = [row.peer_waits_at_terminal for row in self.pending if row.peer_waits_at_terminal is not None]
        return any(seen) if seen else None


def held_up(window: Window) -> Sequence[HeldUp]:
    """Each writer and reader of a pipe of which the one waits for the other. Use with :meth:`Window.once`."""
    return list(_held_up(window))


def _held_up(window: Window) -> Iterator[HeldUp]:
    edges: dict[tuple[int, int], list[Edge]] = {}
    for edge in window.once(waiting).edges:
        by_task = any(row.waker_context == "task" for row in edge.rows)
        if edge.waits_in in WRITES and edge.waker_pid and not edge.is_own and edge.state == "interruptible" and by_task:
            edges.setdefault((edge.pid, edge.waker_pid), []).append(edge)
    pending: dict[tuple[int, int], list[PendingWait]] = {}
    for row in window.rows(PendingWait):
        if row.waits_for == "reader" and row.pid is not None and row.peer_pid is not None:
            pending.setdefault((row.pid, row.peer_pid), []).append(row)
    for writer, reader in sorted({*edges, *pending}):
        both = edges.get((writer, reader), []), pending.get((writer, reader), [])
        yield from _of_pair(window, writer, reader, *both)


def _of_pair(window: Window, writer: int, reader: int, edges: list[Edge], rows: list[PendingWait]) -> Iterator[HeldUp]:
    by_second = waited(edges, window.second)
    for row in rows:
        by_second[window.second(row)] = 1.0
    own, other = _use(window, writer), _use(window, reader)
    for run in telling(runs(by_second, lambda seconds: seconds >= HELD_UP_SHARE, gap=2)):
        worked = [at for at, ran in (own.ran.items() if own else ()) if ran >= WORKS_S and at < run.first - 1]
        wanted = other.wanted_in(run) if other else 0.0
        yield HeldUp(
            run=run,
            duration=duration_of(window, run),
            writer=named(window, writer),
            reader=named(window, reader),
            share=min(1.0, sum(by_second.get(at, 0.0) for at in range(run.first, run.last + 1)) / run.seconds),
            share_before=sum(by_second.get(at, 0.0) for at in worked) / len(worked) if len(worked) >= KNOWN_S else None,
            ran=other.ran_in(run) / run.seconds if other else 0.0,
            kept_from_cpu_share=other.queued_in(run) / wanted if other and wanted else 0.0,
            edges=edges,
            pending=window.within(rows, run),
        )


def _use(window: Window, pid: int) -> Use | None:
    return next((use for use in window.once(cpu_use) if use.pid == pid), None)


HELD_UP: Check[HeldUp] = Check(
    id="held_up",
    says="the writer waits for the reader most of the time",
    holds=lambda suspect: suspect.share >= HELD_UP_SHARE,
    supports=0.5,
    refutes=5.0,
    because="judged: it is what makes the two suspects",
)
KEPT_UP_BEFORE: Check[HeldUp] = Check(
    id="kept_up_before",
    says="the reader is known to have kept up before",
    holds=lambda suspect: suspect.share_before is not None and suspect.share_before <= FREE_SHARE,
    supports=2.5,
    refutes=6.0,
    because="judged: in a pipeline, one is always the slowest, and a pager waits for its user: that is as it is meant. "
    "What kept up and does not any more has changed",
)


def explanation(window: Window, suspect: HeldUp, does: str, action: Proposal) -> Explanation:
    """Whoever writes is as slow as the reader."""
    run = suspect.run
    return Explanation(
        culprit=suspect.reader,
        onset_ns=window.at(run.first),
        victims=(suspect.writer,),
        does="reads its pipe slowly",
        detail=f"it {does}",
        harm=f"waits {100 * suspect.share:.0f} % of the time until it reads",
        suffering_s=suspect.share * run.seconds,
        path=path(
            claim(
                f"{suspect.writer.name} ({suspect.writer.id}) waits {100 * suspect.share:.0f} % of the time until "
                f"{suspect.reader.name} ({suspect.reader.id}) reads from the pipe between them",
                shown(window, suspect.edges, run) if suspect.edges else None,
                window.evidence(suspect.pending, PendingWait.waited_ms, "max"),
            ),
            claim(f"{suspect.reader.name} ({suspect.reader.id}) {does}", _cpu_time(window, suspect)),
        ),
        refuted_by=f"{suspect.writer.name} is as slow when it writes to a file",
        outlook=f"{suspect.writer.name}, and who waits for it, stay as slow as {suspect.reader.name}",
        actions=(action,),
    )


def _cpu_time(window: Window, suspect: HeldUp) -> Evidence | None:
    use = _use(window, int(suspect.reader.id))
    return used(window, use, suspect.run, "ran") if use is not None else None
