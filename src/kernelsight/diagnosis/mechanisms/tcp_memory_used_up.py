"""TCP sockets that are refused memory, because all of them together use as much as they may."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.kernel_limit import KERNEL_LIMIT
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.limit_answers import limit_entity, raised, remedies, use_claim
from kernelsight.diagnosis.limit_use import LimitUse, use_of
from kernelsight.diagnosis.limits import NOT_CALLED, TCP_MEMORY
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Window, grouped_by, moment, samples_of
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import SocketOwner
from kernelsight.events.tcp import TcpRetransmit

MOST_SHARE = Threshold(
    0.5, "share of the bytes in queues of sockets", because="judged: from so much on, a process is who fills the memory"
)
_LIMIT = NOT_CALLED[TCP_MEMORY]
_NO_MEMORY = "PROTO_MEM"
"""The reason for dropping a packet for which the protocol has no memory (include/net/dropreason-core.h)."""


@dataclass(frozen=True, slots=True)
class FullMemory:
    """The memory of TCP sockets in a window in which they use as much as they may."""

    use: LimitUse
    squeezed: Sequence[CounterDelta[TcpRetransmit]]
    """In which queues were shortened, or connections ended, for want of memory."""
    dropped: Sequence[PacketDrop]
    """Packets for which the protocol had no memory."""
    owner: Entity | None
    """Who has most in the queues of its sockets."""

    @property
    def is_short(self) -> bool:
        """Whether somebody is refused memory."""
        return bool(self.squeezed or self.dropped)

    @property
    def onset_ns(self) -> int:
        """From when on memory was refused; where none was, since when the use is recorded."""
        rows = [*(delta.after for delta in self.squeezed), *self.dropped]
        return min(map(moment, rows), default=moment(self.use.rows[0]))


def measure(window: Window) -> Iterable[FullMemory]:
    """The memory of TCP sockets, where they use as much as they may."""
    use = use_of(window, _LIMIT.name)
    if use.is_met:
        deltas = [delta for of in window.deltas(TcpRetransmit).values() for delta in of]
        yield FullMemory(
            use=use,
            squeezed=[delta for delta in deltas if _squeezed(delta)],
            dropped=[row for row in window.rows(PacketDrop) if row.reason == _NO_MEMORY],
            owner=_most_queued(window),
        )


def _squeezed(delta: CounterDelta[TcpRetransmit]) -> float:
    return delta.of(TcpRetransmit.prune_called) + delta.of(TcpRetransmit.abort_on_memory)


def _most_queued(window: Window) -> Entity | None:
    """Who has most in the queues of its sockets, if that is much of all."""
    queued = {
        process_entity(pid, rows[-1].comm): (rows[-1].receive_queue_bytes or 0) + (rows[-1].send_queue_bytes or 0)
        for pid, rows in grouped_by(window.rows(SocketOwner), lambda row: row.pid).items()
    }
    most = max(queued, key=lambda owner: (queued[owner], owner.id), default=None)
    return most if most is not None and queued[most] > MOST_SHARE * sum(queued.values()) else None


def explain(window: Window, suspect: FullMemory) -> Explanation:
    """Sockets shorten their queues, and connections end."""
    culprit = suspect.owner or limit_entity(_LIMIT)
    samples = samples_of(suspect.squeezed)
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.onset_ns,
        does="uses up the memory of TCP" if suspect.owner else "is reached",
        detail="no memory is left for TCP",
        harm="",
        suffering_s=0.0,
        path=path(
            claim(
                f"{sum(map(_squeezed, suspect.squeezed)):.0f} times, sockets shortened their queues or connections "
                f"ended "
                "for want of memory",
                window.evidence(samples, TcpRetransmit.prune_called, "increase"),
                window.evidence(samples, TcpRetransmit.abort_on_memory, "increase"),
            ),
            claim(
                f"the kernel dropped {sum(row.count or 0 for row in suspect.dropped)} packets, as TCP had no memory",
                window.evidence(suspect.dropped, PacketDrop.count, "sum"),
            ),
            use_claim(window, _LIMIT, suspect.use),
        ),
        refuted_by=f"memory is refused as well with a larger limit ({raised(_LIMIT)})",
        outlook="TCP drops segments and ends connections, whatever memory the machine has left",
        actions=remedies(_LIMIT, suspect.use, culprit),
    )


MECHANISM = Mechanism[FullMemory](
    fault=KERNEL_LIMIT,
    summary="All TCP sockets together use as much memory as net.ipv4.tcp_mem allows. The kernel drops segments and "
    "ends connections.",
    measure=measure,
    prior=Prior(2.0, because="judged: only a limit that is seen to be met is a suspect"),
    checks=(
        Check(
            id="memory_is_refused",
            says="the kernel refuses sockets memory, or shortens their queues",
            holds=lambda suspect: suspect.is_short,
            supports=1.5,
            refutes=6.0,
            because="tcp(7), tcp_mem: at the limit, the kernel shortens queues (PruneCalled) and ends connections "
            "(TCPAbortOnMemory); without either, nobody suffers from it",
        ),
    ),
    explain=explain,
)
