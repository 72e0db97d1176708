"""Sockets whose receive buffer overflows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.packet_loss import PACKET_LOSS
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.packets import LASTS_S, LEAST_LOST_PACKETS, drops, interface_of, stretches
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, runs, samples_of
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.udp_socket import UdpSocket
from kernelsight.quantities import number, quantity

FULL_SHARE = Threshold(
    0.5,
    "share of the receive buffer",
    because="judged: a queue is looked at once a second, and may just have been emptied a little",
)


@dataclass(frozen=True, slots=True)
class Overflowing:
    """A socket into which packets did not fit in a stretch of seconds."""

    reader: Entity
    """The process that should read it; where that is not known, the socket, or the interface."""
    place: str
    """What the packets were for, as a person calls it."""
    run: Interval
    onset_ns: int
    lost: float
    """Packets that did not fit."""
    queued_bytes: int
    """What waited in it, at most; 0 where that is not known."""
    buffer_bytes: int
    """What may wait in it; 0 where that is not known."""
    sockets: Sequence[UdpSocket]
    shown: Evidence | None
    """The rows that show how much was lost."""

    @property
    def reader_is_known(self) -> bool:
        """Whether more than the interface is known."""
        return self.reader.kind != "interface"


def measure(window: Window) -> Iterable[Overflowing]:
    """Each reader and stretch, by what the kernel says of dropped packets; without that, by counters of sockets."""
    by_reader: dict[Entity, list[PacketDrop]] = {}
    for (cause, interface), rows in window.once(drops).items():
        for row in rows if cause == "reader" else ():
            reader = process_entity(row.pid, row.comm) if row.pid else interface_of(interface)
            by_reader.setdefault(reader, []).append(row)
    if not by_reader:
        yield from _by_counters(window)
    for reader, rows in by_reader.items():
        sockets = [row for row in window.rows(UdpSocket) if str(row.pid) == reader.id]
        for run in stretches(window, rows, PacketDrop.count):
            within = window.within(rows, run)
            yield Overflowing(
                reader=reader,
                place=f"packets for {reader.name}",
                run=run,
                onset_ns=within[0].timestamp,
                lost=sum(row.count or 0 for row in within),
                queued_bytes=_most(row.receive_queue_bytes for row in sockets),
                buffer_bytes=_most(row.receive_buffer_bytes for row in sockets),
                sockets=sockets,
                shown=window.evidence(within, PacketDrop.count, "sum"),
            )


def _by_counters(window: Window) -> Iterator[Overflowing]:
    for (address, port, _), deltas in window.deltas(UdpSocket).items():
        counts = {window.second(delta.after): delta.of(UdpSocket.drops) for delta in deltas}
        for run in runs(counts, lambda count: count > 0, least=int(LASTS_S), gap=2):
            within = window.during(deltas, run)
            place, last = f"{address}:{port}", within[-1].after
            owner = process_entity(last.pid, last.comm) if last.pid else None
            sockets = samples_of(within)
            yield Overflowing(
                reader=owner or Entity("listener", place, place),
                place=f"datagrams for {place}",
                run=run,
                onset_ns=within[0].after.timestamp,
                lost=sum(delta.of(UdpSocket.drops) for delta in within),
                queued_bytes=_most(row.receive_queue_bytes for row in sockets),
                buffer_bytes=_most(row.receive_buffer_bytes for row in sockets),
                sockets=sockets,
                shown=window.evidence(sockets, UdpSocket.drops, "increase"),
            )


def _most(amounts: Iterable[int | None]) -> int:
    return max((amount or 0 for amount in amounts), default=0)


def explain(window: Window, suspect: Overflowing) -> Explanation:
    """What does not fit into the socket is lost, until its reader keeps up."""
    reader = suspect.reader
    buffer = f" of {quantity(suspect.buffer_bytes, 'B')}" if suspect.buffer_bytes else ""
    queued = window.evidence(suspect.sockets, UdpSocket.receive_queue_bytes, "max") if suspect.queued_bytes else None
    return Explanation(
        culprit=reader,
        onset_ns=suspect.onset_ns,
        victims=(reader,) if reader.kind == "process" else (),
        does="reads its socket too slowly",
        detail=f"{number(suspect.lost)} {suspect.place} did not fit in {suspect.run.seconds} s",
        harm="loses them",
        suffering_s=0.0,
        path=path(
            claim(
                f"{suspect.lost:.0f} {suspect.place} did not fit into its socket in {suspect.run.seconds} s",
                suspect.shown,
            ),
            claim(f"up to {quantity(suspect.queued_bytes, 'B')} waited in its receive buffer{buffer}", queued),
        ),
        refuted_by=f"as much is lost when {reader.name} reads as fast as it can",
        outlook="packets that do not fit are lost",
        actions=(
            LOOK.on(reader, f"see why {reader.name} reads so slowly; a larger receive buffer covers bursts only"),
        ),
    )


MECHANISM = Mechanism[Overflowing](
    fault=PACKET_LOSS,
    summary="A program reads its socket more slowly than packets come, and those that do not fit are dropped.",
    measure=measure,
    checks=(
        Check(
            id="many",
            says=f"{LEAST_LOST_PACKETS:.0f} packets or more are lost",
            holds=lambda suspect: suspect.lost >= LEAST_LOST_PACKETS,
            supports=1.5,
            refutes=3.0,
            because="judged: a datagram that does not fit is lost for good (udp(7), SO_RCVBUF), but a few are a burst. "
            "The signal `udp_receive_overflow` is raised by a single one a second",
        ),
        Check(
            id="reader_known",
            says="the reader of the socket is known",
            holds=lambda suspect: suspect.reader_is_known,
            supports=1.5,
            refutes=0.5,
            because="judged: the kernel drops them at the socket of a program, which is proof of whose they are",
        ),
        Check(
            id="nearly_full",
            says="its receive buffer is half full or more",
            holds=lambda suspect: (
                None
                if not suspect.queued_bytes
                else not suspect.buffer_bytes or suspect.queued_bytes >= FULL_SHARE * suspect.buffer_bytes
            ),
            supports=1.0,
            refutes=2.0,
            because="judged: what is dropped for want of room leaves a full queue behind; an empty one has a reader "
            "that keeps up",
        ),
    ),
    explain=explain,
)
