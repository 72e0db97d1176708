"""Sources that raise interrupts on a CPU without end, and not for work that is done."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import CPU_TIMES
from kernelsight.diagnosis.cpu_time import Use, cpu_use, shown
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.irq_storm import IRQ_STORM
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.block import Block
from kernelsight.events.interrupt import Interrupt
from kernelsight.events.network import Network
from kernelsight.events.scheduler import Cpu
from kernelsight.quantities import number

MANY_PER_S = Threshold(
    20_000,
    "interrupts/s on one CPU",
    because="calculated: an interrupt takes 2 to 5 µs with entry, handler and exit, so these take 4 to 10 % of the "
    "CPU. The tick comes 100 to 1000 times a second, and devices that do much work merge their interrupts (NAPI, "
    "interrupt moderation)",
)
WORK_SHARE = Threshold(
    0.3,
    "pieces of work an interrupt",
    because="judged: a device that completes a request or a packet for every third interrupt or more does its work",
)
TAKES_SHARE = Threshold(
    0.1,
    "share of the CPU's time",
    because="judged: as much is what programs there can notice; a busy disk or network takes less in hard interrupts",
)
SURELY_PER_S = Threshold(
    40_000,
    "interrupts/s on one CPU",
    because="calculated: at 2.5 µs each, so many take a tenth of the CPU's time, where the kernel does not count it",
)
WAITS_SHARE = Threshold(
    0.1,
    "s of waiting for a CPU per second",
    because="judged: where all processes but the busiest wait for less, nobody can be said to suffer",
)
BUSY_SHARE = Threshold(
    0.9, "share of a CPU's time", because="judged: on a CPU that idles a tenth of the time, nobody waits for the rest"
)
CULPRIT_SHARE = Threshold(
    0.5,
    "share of a CPU",
    because="judged: who sets timers, or changes its memory map, so often computes all the time as well",
)
_BETWEEN_CPUS = frozenset({"RES", "CAL", "TLB"})
"""What CPUs ask of each other: as often as tasks wake each other (`context_switch_storm`) or change the memory that
they share (`page_fault_storm`)."""
_WORK = frozenset({"NET_RX", "NET_TX", "BLOCK", "SCHED", "RCU", "TIMER", "HRTIMER", "IRQ_POLL"})
"""Softirqs of a kernel that works; the others (HI, TASKLET) are of drivers."""


@dataclass(frozen=True, slots=True)
class Storm:
    """A source that raises very many interrupts on a CPU in a stretch of seconds."""

    source: str
    cpu: int
    device: str
    origin: str
    run: Interval
    duration: Duration
    per_s: float
    work_per_s: float | None
    """Packets and requests of disks that were done meanwhile, of the whole machine; None: the source is no device."""
    taken_share: float | None
    """Of the CPU's time, what interrupts take by the kernel's account; None: it keeps none (IRQ_TIME_ACCOUNTING)."""
    waits_per_s: float
    """Seconds in which processes wait for a CPU, a second; without the one that used most."""
    busy_share: float
    """Of the CPU's time, what it did not idle."""
    largest: Use | None
    """The process that used most CPU time meanwhile."""
    deltas: Sequence[CounterDelta[Interrupt]]
    of_cpu: Sequence[CounterDelta[Cpu]]

    @property
    def name(self) -> str:
        """The source, as a person calls it."""
        device = f" ({self.device})" if self.device else ""
        return f"interrupt {self.source}{device}" if self.origin != "softirq" else f"softirq {self.source}"


def measure(window: Window) -> Iterable[Storm]:
    """Each source, CPU and stretch in which very many interrupts were raised."""
    for (source, cpu), deltas in window.deltas(Interrupt).items():
        if not deltas or source in _BETWEEN_CPUS | _WORK or cpu is None:
            continue
        rates = {window.second(delta.after): delta.of(Interrupt.raised) / delta.seconds for delta in deltas}
        for run in runs(rates, lambda rate: rate >= MANY_PER_S):
            yield _storm(window, window.during(deltas, run), run, cpu)


def _storm(window: Window, deltas: Sequence[CounterDelta[Interrupt]], run: Interval, cpu: int) -> Storm:
    of_cpu = window.during(window.deltas(Cpu).get((cpu,), ()), run)
    spent = {column: sum(delta.of(column) for delta in of_cpu) for column in CPU_TIMES}
    ticks = max(sum(spent.values()), 1.0)
    accounted = any(row.irq for row in window.rows(Cpu))
    uses = sorted(window.once(cpu_use), key=lambda use: -use.ran_in(run))
    largest = uses[0] if uses and uses[0].ran_in(run) >= CULPRIT_SHARE * run.seconds else None
    last = deltas[-1].after
    return Storm(
        source=str(last.source),
        cpu=cpu,
        device=last.device or "",
        origin=last.origin or "",
        run=run,
        duration=duration_of(window, run),
        per_s=statistics.fmean(delta.of(Interrupt.raised) / delta.seconds for delta in deltas),
        work_per_s=_work(window, run) / run.seconds if last.origin == "device" else None,
        taken_share=spent[Cpu.irq] / ticks if accounted else None,
        waits_per_s=sum(use.queued_in(run) for use in uses if use is not largest) / run.seconds,
        busy_share=1 - (spent[Cpu.idle] + spent[Cpu.iowait]) / ticks,
        largest=largest if last.origin == "processor" else None,
        deltas=deltas,
        of_cpu=of_cpu,
    )


def _work(window: Window, run: Interval) -> float:
    disks = (delta for deltas in window.deltas(Block).values() for delta in window.during(deltas, run))
    wires = (
        delta
        for (name,), deltas in window.deltas(Network).items()
        for delta in (window.during(deltas, run) if name != "lo" else ())  # loopback raises no interrupts
    )
    requests = sum(delta.of(Block.read_ios) + delta.of(Block.write_ios) for delta in disks)
    return requests + sum(delta.of(Network.rx_packets) + delta.of(Network.tx_packets) for delta in wires)


def explain(window: Window, suspect: Storm) -> Explanation:
    """Each interrupt stops what runs on the CPU."""
    source = Entity("device", suspect.source, suspect.name)
    culprit = suspect.largest.entity if suspect.largest else source
    taken = "" if suspect.taken_share is None else f", which take {suspect.taken_share:.0%} of its time"
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        does=f"uses most CPU time, while {suspect.name} is raised on CPU {suspect.cpu} all the time"
        if suspect.largest
        else f"is raised on CPU {suspect.cpu} all the time",
        detail=f"{number(round(suspect.per_s))} times a second{taken}",
        harm="",
        suffering_s=(suspect.taken_share or 0.0) * suspect.run.seconds,
        path=path(
            claim(
                f"{suspect.name} is raised {suspect.per_s:,.0f} times a second on CPU {suspect.cpu}{taken}",
                window.evidence(samples_of(suspect.deltas), Interrupt.raised, "increase"),
                window.evidence(samples_of(suspect.of_cpu), Cpu.irq, "increase") if suspect.taken_share else None,
            ),
            claim(
                f"CPU {suspect.cpu} idles {1 - suspect.busy_share:.0%} of the time",
                window.evidence(samples_of(suspect.of_cpu), Cpu.idle, "increase"),
            ),
            claim(
                f"{culprit.name} ({culprit.id}) used more CPU time than any other process: "
                f"{suspect.largest.ran_in(suspect.run):.1f} s of {suspect.run.seconds} s",
                shown(window, suspect.largest, suspect.run, "ran"),
            )
            if suspect.largest
            else None,
        ),
        refuted_by=f"programs on CPU {suspect.cpu} are as slow without {suspect.name}",
        outlook=f"programs on CPU {suspect.cpu} lose time to it",
        actions=(
            LOOK.on(
                source,
                f"see what raises {suspect.name}: cat /proc/interrupts; a driver or a device that is broken, or timers "
                "that run out all the time; smp_affinity of /proc/irq moves it to another CPU",
            ),
        ),
    )


MECHANISM = Mechanism[Storm](
    fault=IRQ_STORM,
    summary="A device, a timer or a driver raises interrupts on one CPU without end, and little work is done by them.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only a source that raises twenty times as many interrupts as the fastest tick is a suspect, "
        "which is seldom so on a healthy machine (measured: on none of the recorded ones, and 43,000/s by a timer of "
        "stress-ng)",
    ),
    checks=(
        Check(
            id="little_work",
            says="far fewer packets and requests of disks are done than interrupts are raised",
            holds=lambda suspect: (
                None if suspect.work_per_s is None else suspect.work_per_s < WORK_SHARE * suspect.per_s
            ),
            supports=1.0,
            refutes=5.0,
            because="judged: a fast disk or network raises as many for what it does; then the work is the load, and "
            "not the interrupts (`disk_saturation`, `softirq_load`)",
        ),
        Check(
            id="takes_time",
            says="interrupts take a good part of the CPU's time",
            holds=lambda suspect: None if suspect.taken_share is None else suspect.taken_share >= TAKES_SHARE,
            supports=2.0,
            refutes=4.0,
            because="judged: it is what the harm consists of, where the kernel counts it",
        ),
        Check(
            id="must_take_time",
            says="so many interrupts take a good part of the CPU's time, though this kernel does not count it",
            holds=lambda suspect: suspect.per_s >= SURELY_PER_S if suspect.taken_share is None else None,
            supports=0.0,
            refutes=3.0,
            because="judged: without the kernel's account (CONFIG_IRQ_TIME_ACCOUNTING) their number alone tells",
        ),
        Check(
            id="somebody_waits",
            says="others than the program that sets the timers wait for a CPU",
            holds=lambda suspect: (
                suspect.waits_per_s >= WAITS_SHARE if suspect.taken_share is None and suspect.largest else None
            ),
            supports=0.0,
            refutes=3.0,
            because="judged: an interrupt of a device is nobody's own; a program that sets many timers on a CPU of its "
            "own takes time from itself alone",
        ),
        Check(
            id="cpu_is_busy",
            says="the CPU hardly idles",
            holds=lambda suspect: suspect.busy_share >= BUSY_SHARE,
            supports=0.5,
            refutes=4.0,
            because="judged: while a CPU has time left, interrupts take it from nobody",
        ),
        LASTS,
    ),
    explain=explain,
)
