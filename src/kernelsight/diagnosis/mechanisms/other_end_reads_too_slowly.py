"""Connections whose other end takes no more data, because nobody reads it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.connections import at_the_other_end, holders, listener_at, place_of, stuck
from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.faults.slow_dependency import SLOW_DEPENDENCY
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.storage import SUFFERS_SHARE, waiters
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import Edge, shown, waiting
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.process import SocketOwner
from kernelsight.events.scheduler import Wait
from kernelsight.events.service import ServiceEdge
from kernelsight.events.tcp import TcpConnection, TcpListener
from kernelsight.quantities import quantity

LASTS_S = Threshold(4, "s", because="judged: a reader that is busy with something else for a moment comes back sooner")
STAYS_SHARE = Threshold(
    0.6,
    "share of the seconds",
    because="judged: at a window that is closed in most samples the sender always waits; a fast copy, whose reader "
    "keeps up, is seen at one now and then",
)
IDLE_SHARE = Threshold(
    0.3,
    "share of a CPU",
    because="judged: a reader that computes for more of the time may read as fast as it can, and is itself what takes "
    "the time (`thread_saturation`, `cpu_saturation`)",
)
LEAST_BEFORE_S = Threshold(3, "s", because="judged: less says little of what is usual")
SLOWED_SHARE = Threshold(
    0.7, "of what it took before", because="judged: well beyond what a pace differs by from one second to the next"
)
SLOW_BYTES_PER_S = Threshold(
    1e6,
    "B/s of each sender",
    because="judged: storage of other machines takes a copy at several MB/s at least. Where the wire is slower than "
    "that, the window is not what holds up the sender",
)
MOST_LISTENERS = Threshold(
    64, "listeners", because="collectors tell of no more (kernelsight.collectors.sockets); there may be others then"
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a receiver takes what its senders send."""

    now: float
    """B/s of each sender, while they wait."""
    before: float | None
    """B/s of each sender before, while none of them waited; None: nothing is known of that."""

    @property
    def is_slow(self) -> bool:
        """Whether it takes less than before; where nothing is known of that, than any copy is content with."""
        if self.before is None:
            return self.now < SLOW_BYTES_PER_S
        return self.now <= SLOWED_SHARE * self.before


@dataclass(frozen=True, slots=True)
class Unread:
    """A receiver that leaves its window closed in a stretch of seconds, while senders have more to send."""

    receiver: Entity
    """The process, where it is of this machine and known; else its address and port."""
    place: str
    """Its end of the connections: address, and the port where it is the same for all of them."""
    run: Interval
    closed_share: float
    """Of the seconds, the share in which a sender was seen waiting."""
    is_asked: bool
    """The receiver accepted the connections, as far as that is known: it serves those who send."""
    others_wait: bool
    """Others wait for a sender meanwhile: connections that it does not accept, or requests that it does not read."""
    computed_share: float | None
    """Of a CPU, what the receiver uses; None: not known."""
    waits_for_storage: bool
    """The receiver waits for storage for a good part of the time."""
    senders: Sequence[Entity]
    closed: Sequence[TcpConnection]
    """Samples of senders that wait."""
    unread: Sequence[TcpConnection]
    """Samples of the receiver's ends."""
    waits: Sequence[Edge]
    """Waits of the senders that the receiver ended."""
    pace: Pace | None
    """How fast it takes what is sent; None: not known."""

    @property
    def seconds(self) -> int:
        """How long."""
        return self.run.seconds


def measure(window: Window) -> Iterable[Unread]:
    """Each receiver and stretch in which senders waited for it to read."""
    closed: dict[Entity, list[TcpConnection]] = {}
    for row in window.once(stuck).get("window", ()):
        closed.setdefault(_receiver(window, row), []).append(row)
    for receiver, rows in closed.items():
        seen = dict.fromkeys(window.seconds(rows), 1.0)
        for run in runs(seen, bool, least=int(LASTS_S), gap=2):
            yield _unread(window, receiver, window.within(rows, run), run, seen)


def _receiver(window: Window, row: TcpConnection) -> Entity:
    """The process at the other end; where it is not of this machine or not known, its address and port."""
    known = window.once(at_the_other_end).get((row.saddr, row.sport, row.daddr, row.dport))
    if known is None and row.saddr == row.daddr:  # both ends are of this machine, and of one network namespace
        known = listener_at(window, row.dport)
    place = place_of(row.daddr, row.dport)
    return known or Entity("listener", place, place)


def _unread(
    window: Window, receiver: Entity, rows: Sequence[TcpConnection], run: Interval, seen: Mapping[int, float]
) -> Unread:
    pid = int(receiver.id) if receiver.kind == "process" else None
    senders = holders(rows)
    ids = {sender.id for sender in senders}
    ports = {(row.daddr, row.dport) for row in rows}
    uses = [use for use in window.once(cpu_use) if use.pid == pid]
    stored = window.once(waiters).get(pid or 0)
    reading = window.once(stuck).get("reader", ())
    return Unread(
        receiver=receiver,
        place=place_of(*next(iter(ports))) if len(ports) == 1 else str(rows[0].daddr),
        run=run,
        closed_share=sum(second in run for second in seen) / run.seconds,
        is_asked=_is_asked(window, rows),
        others_wait=_others_wait(window, ids, run),
        computed_share=sum(use.ran_in(run) for use in uses) / run.seconds if uses else None,
        waits_for_storage=stored is not None and stored.waited_in(run) >= SUFFERS_SHARE * run.seconds,
        senders=senders,
        closed=rows,
        unread=[row for row in window.within(reading, run) if row.pid and row.pid == pid],
        waits=[edge for edge in window.once(waiting).by_waker.get(pid or 0, ()) if str(edge.pid) in ids],
        pace=_pace(window, rows, run),
    )


def _pace(window: Window, rows: Sequence[TcpConnection], run: Interval) -> Pace | None:
    """How fast the senders get rid of what they send to a receiver, by what they send and what stays unsent."""
    senders = {row.pid for row in rows if row.pid}
    places = {place_of(row.daddr, row.dport) for row in rows}
    sent = [
        row
        for row in window.rows(ServiceEdge)
        if row.pid in senders and place_of(row.address, row.port) in places and row.bytes_sent is not None
    ]
    by_second = window.per_second(sent, ServiceEdge.bytes_sent)
    if not any(second in run for second in by_second):
        return None
    waiting = window.per_second(rows, TcpConnection.unsent_bytes)
    piled_up = waiting.get(max(waiting), 0.0) - waiting.get(min(waiting), 0.0) if waiting else 0.0
    earlier = [amount for second, amount in by_second.items() if second < run.first and amount]
    return Pace(
        now=max(run.total(by_second) - piled_up, 0.0) / run.seconds / len(senders),
        before=sum(earlier) / len(earlier) / len(senders) if len(earlier) >= LEAST_BEFORE_S else None,
    )


def _is_asked(window: Window, rows: Sequence[TcpConnection]) -> bool:
    """Whether the receiver accepted the connections. Without word of that, whether nobody here listens at this end.

    An accepted connection has the port of its listener. Where not all listeners are known, nothing is.
    """
    accepted = {row.is_accepted for row in rows}
    if accepted != {None}:
        return True not in accepted
    listening = {row.port for row in window.rows(TcpListener)}
    return 0 < len(listening) < MOST_LISTENERS and not any(row.sport in listening for row in rows)


def _others_wait(window: Window, senders: set[str], run: Interval) -> bool:
    queued = any(row.accept_queue and str(row.pid) in senders for row in window.within(window.rows(TcpListener), run))
    owners = window.within(window.rows(SocketOwner), run)
    return queued or any(row.receive_queue_bytes and str(row.pid) in senders for row in owners)


def explain(window: Window, suspect: Unread) -> Explanation:
    """Who sends waits until the other end reads."""
    receiver, run = suspect.receiver, suspect.run
    names = ", ".join(f"{one.name} ({one.id})" for one in suspect.senders[:3]) or "a program"
    at = "" if receiver.name == suspect.place else f" at {suspect.place}"
    waiting_bytes = max((row.unsent_bytes or row.unacknowledged_bytes or 0 for row in suspect.closed), default=0)
    unread = max((row.unread_bytes or 0 for row in suspect.unread), default=0)
    return Explanation(
        culprit=receiver,
        onset_ns=suspect.closed[0].timestamp,
        victims=tuple(suspect.senders[:5]),
        does=f"does not read what is sent to it{at}",
        harm=f"cannot send {100 * suspect.closed_share:.0f} % of the time",
        suffering_s=max(sum(edge.waited_in(run) for edge in suspect.waits), suspect.closed_share * run.seconds),
        path=path(
            claim(
                f"up to {quantity(waiting_bytes, 'B')} of {names} wait to be sent to {receiver.name}{at}, which takes "
                f"no more, in {100 * suspect.closed_share:.0f} % of {run.seconds} s",
                window.evidence(suspect.closed, TcpConnection.unsent_bytes, "max")
                or window.evidence(suspect.closed, TcpConnection.unacknowledged_bytes, "max"),
            ),
            claim(
                f"{names} waited {sum(edge.waited_in(run) for edge in suspect.waits):.1f} s until {receiver.name} read",
                shown(window, suspect.waits, run, Wait.wait_ns) if suspect.waits else None,
            ),
            claim(
                f"up to {quantity(unread, 'B')} wait for {receiver.name} to be read",
                window.evidence(suspect.unread, TcpConnection.unread_bytes, "max"),
            ),
        ),
        refuted_by=f"{names} sends as slowly when {receiver.name} reads at once",
        outlook=f"whoever sends to {receiver.name} goes on waiting",
        actions=(LOOK.on(receiver, f"see what {receiver.name} does instead of reading{at}, and what it waits for"),),
    )


MECHANISM = Mechanism[Unread](
    fault=SLOW_DEPENDENCY,
    summary="A server reads what is sent to it more slowly than it did. TCP closes the window, and those who send wait "
    "for it.",
    measure=measure,
    checks=(
        Check(
            id="stays_closed",
            says="the window is closed most of the time",
            holds=lambda suspect: suspect.closed_share >= STAYS_SHARE,
            supports=2.0,
            refutes=4.0,
            because="judged: it is what the fault consists of (RFC 9293, 3.8.6): the sender has more and may not send",
        ),
        Check(
            id="somebody_wants_it_read",
            says="the receiver serves those who send, or others wait for the sender meanwhile",
            holds=lambda suspect: suspect.others_wait or suspect.is_asked,
            supports=0.5,
            refutes=5.0,
            because="judged: a client that asked for data reads it at its own pace, as a pager or a download with a "
            "limit does; a server that does not read keeps those who send waiting",
        ),
        Check(
            id="takes_little",
            says="others wait for the sender, or the receiver takes less than it did, or than any copy is content with",
            holds=lambda suspect: (
                True if suspect.others_wait else None if suspect.pace is None else suspect.pace.is_slow
            ),
            supports=1.0,
            refutes=6.0,
            because="judged: a copy, such as a backup to the storage of another machine, is sent as fast as that takes "
            "it, and the window is closed again and again; nobody is harmed by that",
        ),
        Check(
            id="receiver_idles",
            says="the receiver does not compute meanwhile",
            holds=lambda suspect: None if suspect.computed_share is None else suspect.computed_share < IDLE_SHARE,
            supports=1.0,
            refutes=4.0,
            because="judged: a receiver that works all the time is no slower than it can be: the data of a fast copy "
            "waits for it, too",
        ),
        Check(
            id="storage_is_not_why",
            says="the receiver does not wait for storage",
            holds=lambda suspect: not suspect.waits_for_storage,
            supports=0.0,
            refutes=3.0,
            because="judged: a receiver that writes to a disk reads as fast as the disk takes it; then it is the disk, "
            "or just a copy",
        ),
    ),
    explain=explain,
)
