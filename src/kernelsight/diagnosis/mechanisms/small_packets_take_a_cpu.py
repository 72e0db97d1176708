"""CPUs that only carry packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import CPU_TIMES
from kernelsight.diagnosis.faults.softirq_load import SOFTIRQ_LOAD
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.packets import carried, packets
from kernelsight.diagnosis.remedies import LIMIT_CPU, LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu
from kernelsight.linux.drop_reasons import reasons_of
from kernelsight.quantities import number
from kernelsight.signals.rules.load import INTERRUPTS_PERCENT

SOFTIRQ_SHARE = Threshold(
    INTERRUPTS_PERCENT / 100 / 2,
    "share of a CPU's time",
    because="judged: a program that shares this CPU gets three quarters of it at most, and takes a third longer. Half "
    "of what the signal `softirq_bound_cpu` tells at",
)
MOST_OF_A_CPU_SHARE = Threshold(
    0.8 * INTERRUPTS_PERCENT / 100,
    "share of a CPU's time",
    because="judged: so much is a fault by itself; below it, packets must be seen to go to waste. Soft interrupts are "
    "most of what the signal `softirq_bound_cpu` counts, and not all",
)
WASTED_SHARE = Threshold(
    0.1, "share of the packets", because="judged: one packet in ten that nobody reads is work for nothing"
)
LEAST_PACKETS_PER_S = Threshold(
    20_000,
    "packets/s",
    because="judged: a packet costs 1 to 3 µs of softirq, so fewer cannot be what a quarter of a CPU goes to",
)
SMALL_BYTES = Threshold(
    300,
    "bytes a packet",
    because="judged: a fifth of an Ethernet frame (1500 bytes); below it the packets are the load, and not the data",
)
SENDER_SHARE = Threshold(
    0.2, "share of a CPU in system calls", because="judged: less cannot send or read so many packets"
)
_WASTED = frozenset({"NO_SOCKET", *reasons_of("reader", "backlog", "queue")})
"""Reasons to drop what nobody wanted or what found no room."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A process with sockets that works in system calls."""

    entity: Entity
    rows: Sequence[Process]


@dataclass(frozen=True, slots=True)
class Carrying:
    """A CPU in a stretch of seconds in which it handled packets for much of its time."""

    cpu: int
    run: Interval
    softirq_share: float
    """Of the CPU's time, what went to interrupts, on average."""
    interface: str
    """The one that carried most packets."""
    packets: float
    """What it carried; 0 where they came by an interface of another network namespace."""
    lost: int
    """Packets that nobody wanted, or that found no room."""
    bytes_a_packet: float | None
    """Their mean size; None where they are not seen."""
    senders: Sequence[Sender]
    """Who may have sent them, the most likely first."""
    deltas: Sequence[CounterDelta[Cpu]]
    """Of the CPU."""
    traffic: Sequence[CounterDelta[Network]]
    """Of the interface."""
    wasted: Sequence[PacketDrop]
    """The drops of the packets that are :attr:`lost`."""

    @property
    def packets_per_s(self) -> float:
        """Packets a second that were carried, or at least dropped."""
        return max(self.packets, self.lost) / self.run.seconds


def measure(window: Window) -> Iterable[Carrying]:
    """Each CPU and stretch in which a good part of its time went to interrupts."""
    for (cpu,), deltas in window.deltas(Cpu).items():
        shares = {window.second(delta.after): _share(delta) for delta in deltas} if (cpu or 0) >= 0 else {}
        for run in runs(shares, lambda share: share >= SOFTIRQ_SHARE):
            yield _carrying(window, cpu, run, window.during(deltas, run))


def _carrying(window: Window, cpu: int, run: Interval, within: Sequence[CounterDelta[Cpu]]) -> Carrying:
    wasted = [row for row in window.within(window.rows(PacketDrop), run) if row.reason in _WASTED]
    lost = sum(row.count or 0 for row in wasted)
    interface, traffic = _busiest(window, run)
    count = packets(traffic, "rx") + packets(traffic, "tx")
    if lost > count:  # they came by an interface of another network namespace
        interface, traffic, count = str(wasted[-1].interface_name), (), 0
    size = sum(delta.of(Network.rx_bytes) + delta.of(Network.tx_bytes) for delta in traffic)
    return Carrying(
        cpu=cpu,
        run=run,
        softirq_share=sum(map(_share, within)) / len(within),
        interface=interface,
        packets=count,
        lost=lost,
        bytes_a_packet=size / count if count else None,
        senders=_senders(window, run),
        deltas=within,
        traffic=traffic,
        wasted=wasted,
    )


def _share(delta: CounterDelta[Cpu]) -> float:
    """Of the CPU's time, what went to interrupts."""
    everything = sum(map(delta.of, CPU_TIMES))
    return (delta.of(Cpu.softirq) + delta.of(Cpu.irq)) / everything if everything else 0.0


def _busiest(window: Window, run: Interval) -> tuple[str, Sequence[CounterDelta[Network]]]:
    """The interface that carried most packets, and what it did; a name that says so where none is known."""
    known = {str(name): carried(window, str(name), run) for (name,) in window.deltas(Network)}
    most = max(known, key=lambda name: packets(known[name], "rx") + packets(known[name], "tx"), default="")
    return (most, known[most]) if most else ("an interface that is not seen", ())


def _senders(window: Window, run: Interval) -> list[Sender]:
    """Processes with sockets that spend much of a CPU in system calls, the most first.

    On loopback and between namespaces, the software interrupts for a packet run in the system call that
    sends it, and count to the sender.
    """
    suspect: list[tuple[float, Sender]] = []
    for (pid, _), deltas in window.deltas(Process).items():
        within = window.during(deltas, run)
        if not within or within[-1].after.sockets == 0:
            continue
        spent = sum(delta.of(Process.stime_ms) for delta in within) / 1e3
        if spent >= SENDER_SHARE * run.seconds:
            entity = process_entity(pid, within[-1].after.comm)
            suspect.append((spent, Sender(entity, samples_of(within))))
    return [sender for _, sender in sorted(suspect, key=lambda item: (-item[0], item[1].entity.id))]


def explain(window: Window, suspect: Carrying) -> Explanation:
    """Who sends the packets, and what is left of the CPU for others."""
    cpu, run = suspect.cpu, suspect.run
    sender = suspect.senders[0] if suspect.senders else None
    culprit = sender.entity if sender else Entity("interface", suspect.interface, suspect.interface)
    traffic = samples_of(suspect.traffic)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        does=f"{'sends' if sender else 'carries'} {number(round(suspect.packets_per_s))} small packets a second",
        detail=f"they take {100 * suspect.softirq_share:.0f} % of CPU {cpu}",
        harm="",
        suffering_s=suspect.softirq_share * run.seconds,
        path=path(
            claim(
                f"CPU {cpu} spent {100 * suspect.softirq_share:.0f} % of its time in software interrupts",
                window.evidence(samples_of(suspect.deltas), Cpu.softirq, "increase"),
            ),
            claim(
                f"{suspect.interface} carried {suspect.packets / run.seconds:.0f} packets a second",
                window.evidence(traffic, Network.rx_packets, "increase"),
                window.evidence(traffic, Network.rx_bytes, "increase"),
            ),
            claim(
                f"{suspect.lost:,} packets were not wanted, or did not fit where they should have been read",
                window.evidence(suspect.wasted, PacketDrop.count, "sum") if suspect.lost else None,
            ),
            claim(
                f"meanwhile {culprit.name} ({culprit.id}), which has sockets, worked in system calls",
                window.evidence(sender.rows, Process.stime_ms, "increase") if sender else None,
            ),
        ),
        refuted_by=f"software interrupts take as much of CPU {cpu} when {culprit.name} is stopped",
        outlook=f"what runs on CPU {cpu} gets the rest of it, and packets of others are dropped",
        actions=_actions(culprit),
    )


def _actions(culprit: Entity) -> tuple[Proposal, ...]:
    if culprit.kind == "interface":
        return (LOOK.on(culprit, f"see who sends so many packets over {culprit.name}"),)
    return (LIMIT_CPU.on(culprit, f"slow {culprit.name} down, or let it send fewer and larger packets"),)


MECHANISM = Mechanism[Carrying](
    fault=SOFTIRQ_LOAD,
    summary="A CPU handles so many small packets in interrupts that programs get little of it.",
    measure=measure,
    prior=Prior(
        3.0,
        because="judged: only a CPU that spends a quarter of its time on interrupts is a suspect, which is seldom so "
        "on a healthy machine (measured: on none of the recorded ones)",
    ),
    checks=(
        Check(
            id="very_many_packets",
            says="very many packets are handled",
            holds=lambda suspect: suspect.packets_per_s >= LEAST_PACKETS_PER_S,
            supports=1.0,
            refutes=6.0,
            because="judged: without them the interrupts are not for packets, whatever else holds (recorded: those of "
            "a disk, in `random_reads_beside_a_reader`)",
        ),
        Check(
            id="small",
            says="they are small",
            holds=lambda suspect: None if suspect.bytes_a_packet is None else suspect.bytes_a_packet < SMALL_BYTES,
            supports=1.0,
            refutes=5.0,
            because="judged: large packets carry data that somebody asked for; then the wire or the reader is the "
            "limit (`bandwidth_saturation`), and the softirq time is its price",
        ),
        Check(
            id="heavy_or_wasted",
            says="it is most that the CPU does, or the packets go to waste",
            holds=lambda suspect: (
                suspect.softirq_share >= MOST_OF_A_CPU_SHARE or suspect.lost >= WASTED_SHARE * suspect.packets
            ),
            supports=1.0,
            refutes=5.0,
            because="judged: a busy server may spend a quarter of a CPU on packets that it reads and answers, and is "
            "healthy",
        ),
    ),
    explain=explain,
)
