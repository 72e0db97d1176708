"""Round trips that take long, because data of another connection fills a queue on the way that nobody here sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.connections import holders, slower_claims, stuck
from kernelsight.diagnosis.contention import contention
from kernelsight.diagnosis.faults.bandwidth_saturation import BANDWIDTH_SATURATION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.packets import full_queues
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, grouped_by, runs
from kernelsight.events.tcp import TcpConnection
from kernelsight.quantities import quantity

LASTS_S = Threshold(4, "s", because="judged: a burst leaves a queue sooner")
BULK_BYTES = Threshold(
    65_536,
    "B in flight",
    because="calculated: a queue that holds packets for 100 ms at 5 Mbit/s holds as much; questions and answers do not",
)
GAP_S = Threshold(3, "s", because="judged: a sample sees only connections with data on the way at that moment")


@dataclass(frozen=True, slots=True)
class Behind:
    """A stretch in which round trips from an address took long, with the connection that has most on the way."""

    address: str
    run: Interval
    in_flight_bytes: float
    """What the largest sender had on the way, on average."""
    sender: Entity | None
    """The largest sender; None: not known."""
    queue_is_seen: bool
    """A queue of this network namespace is full meanwhile."""
    cpus_are_short: bool
    """Processes wait for CPUs meanwhile."""
    bulk: Sequence[TcpConnection]
    """Samples of the largest sender's connections."""
    others: Sequence[TcpConnection]
    """Samples of connections of others whose round trips take long, and that have no bulk data on the way."""


def measure(window: Window) -> Iterable[Behind]:
    """Each local address and stretch in which round trips took long, but for loopback, which has no queue."""
    late = [row for row in window.once(stuck).get("round_trip", ()) if row.saddr != row.daddr]
    for address, rows in grouped_by(late, lambda row: row.saddr).items():
        for run in runs(dict.fromkeys(window.seconds(rows), 1.0), bool, least=int(LASTS_S), gap=int(GAP_S)):
            yield _behind(window, str(address), window.within(rows, run), run)


def _behind(window: Window, address: str, rows: Sequence[TcpConnection], run: Interval) -> Behind:
    in_flight: dict[int | None, int] = {}
    for row in rows:
        in_flight[row.pid] = in_flight.get(row.pid, 0) + (row.unacknowledged_bytes or 0)
    largest = max(in_flight, key=lambda pid: in_flight[pid])
    bulk = [row for row in rows if row.pid == largest]
    seconds = len({*window.seconds(bulk)})
    return Behind(
        address=address,
        run=run,
        in_flight_bytes=in_flight[largest] / seconds,
        sender=next(iter(holders(bulk)), None),
        queue_is_seen=any(queue.run.overlaps(run) for queue in window.once(full_queues)),
        cpus_are_short=any(stretch.run.overlaps(run) for stretch in window.once(contention)),
        bulk=bulk,
        others=[row for row in rows if row.pid != largest and (row.unacknowledged_bytes or 0) < BULK_BYTES],
    )


def explain(window: Window, suspect: Behind) -> Explanation:
    """What others send waits behind what the largest sender has put into the queue."""
    culprit = suspect.sender or Entity("listener", suspect.address, suspect.address)
    slowest_us = max((row.round_trip_us or 0 for row in suspect.others), default=0)
    return Explanation(
        culprit=culprit,
        onset_ns=min(suspect.bulk[0].timestamp, *(row.timestamp for row in suspect.others[:1])),
        victims=tuple(holders(suspect.others))[:5],
        does="fills a queue that is too deep (bufferbloat)",
        detail=f"{quantity(suspect.in_flight_bytes, 'B')} are under way from {suspect.address}",
        harm=f"waits up to {quantity(slowest_us, 'us')} for each round trip",
        suffering_s=sum((row.round_trip_us or 0) / 1e6 for row in suspect.others),
        path=path(
            *slower_claims(window, suspect.others),
            claim(
                f"{culprit.name} has {quantity(suspect.in_flight_bytes, 'B')} on the way from {suspect.address}, which "
                "waits in a queue that is far too deep (bufferbloat)",
                window.evidence(suspect.bulk, TcpConnection.unacknowledged_bytes, "mean"),
                window.evidence(suspect.bulk, TcpConnection.round_trip_us, "max"),
            ),
        ),
        refuted_by=f"round trips from {suspect.address} take as long when {culprit.name} sends nothing",
        outlook=f"all that leaves from {suspect.address} waits as long",
        actions=(
            LOOK.on(culprit, f"let {culprit.name} send less, or later"),
            LOOK.on(culprit, "find the queue (tc -s qdisc, in each network namespace on the way) and let less wait in "
                "it, or use one that is fair (fq_codel)"),
        ),
    )  # fmt: skip


MECHANISM = Mechanism[Behind](
    fault=BANDWIDTH_SATURATION,
    summary="Bulk data fills a deep queue on the way, of another network namespace or beyond this machine, and what "
    "others send waits behind it.",
    measure=measure,
    checks=(
        Check(
            id="bulk_data",
            says="one sender has much data on the way",
            holds=lambda suspect: suspect.in_flight_bytes >= BULK_BYTES,
            supports=2.0,
            refutes=4.0,
            because="judged: a queue is filled by somebody; without bulk data, the way is long or its other end slow",
        ),
        Check(
            id="others_wait",
            says="round trips of others take as long, and these send little",
            holds=lambda suspect: bool(suspect.others),
            supports=1.5,
            refutes=4.0,
            because="judged: a copy that waits behind its own data is as fast as it can be, and harms nobody. The same "
            "is so of each download from a web server: its queue is that of its client",
        ),
        Check(
            id="queue_is_elsewhere",
            says="no queue of this network namespace is full",
            holds=lambda suspect: not suspect.queue_is_seen,
            supports=0.5,
            refutes=4.0,
            because="judged: a full queue that is seen says itself by what it is filled",
        ),
        Check(
            id="cpus_have_room",
            says="nobody waits for a CPU",
            holds=lambda suspect: not suspect.cpus_are_short,
            supports=0.0,
            refutes=2.0,
            because="judged: on a busy machine packets wait until the other end runs, and not in a queue of packets",
        ),
    ),
    explain=explain,
)
