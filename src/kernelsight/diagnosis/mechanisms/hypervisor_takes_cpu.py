"""CPU time that the hypervisor gives to other machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import of_all_cpus, spent_by_cpus
from kernelsight.diagnosis.cpu_time import Use, cpu_use, shown
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.cpu_steal import CPU_STEAL
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.scheduler import Cpu
from kernelsight.signals.rules.load import STOLEN_PERCENT

STOLEN_SHARE = Threshold(
    STOLEN_PERCENT / 100 / 2,
    "share of all CPU time",
    because="judged: hosts with room take 1 to 2 %, so this is worth a look; half of what the signal `cpu_stolen` "
    "tells at",
)
LEAST_S = Threshold(
    5, "s", because="judged: a host that is busy for a moment takes a lot for less than this, and gives it back"
)
MUCH_SHARE = Threshold(
    0.15,
    "share of all CPU time",
    because="measured: a machine that makes its host work, by much I/O, loses 11 to 13 % to it (recorded: "
    "`random_reads_beside_a_reader`, `more_files_than_fit`), and its own disk is what it waits for",
)
LOST_SHARE = Threshold(
    0.15,
    "share of the CPU time that this machine wanted",
    because="calculated: programs that get 85 % of what they want take 1/0.85 of the time, a sixth longer",
)


@dataclass(frozen=True, slots=True)
class Stolen:
    """A stretch of seconds in which the hypervisor took CPU time from this machine."""

    run: Interval
    duration: Duration
    stolen_share: float
    """Of all CPU time."""
    lost_share: float
    """Of the time in which this machine wanted a CPU."""
    suffering_s: float
    waiting: Sequence[Use]
    """Processes that waited for a CPU meanwhile, those that waited longest first."""
    deltas: Sequence[CounterDelta[Cpu]]
    """Of all CPUs together."""


def measure(window: Window) -> Iterable[Stolen]:
    """Each stretch in which CPU time was stolen."""
    deltas = of_all_cpus(window)
    shares = {window.second(delta.after): _share(delta) for delta in deltas}
    uses = window.once(cpu_use)
    for run in runs(shares, lambda share: share >= STOLEN_SHARE, least=int(LEAST_S)):
        within = window.during(deltas, run)
        spent, busy = spent_by_cpus(within)
        share = spent[Cpu.steal] / sum(spent.values())
        waiting = sorted((use for use in uses if use.queued_in(run) > 0), key=lambda use: -use.queued_in(run))
        yield Stolen(
            run,
            duration_of(window, run),
            stolen_share=share,
            lost_share=spent[Cpu.steal] / busy,
            suffering_s=share * window.cpus * run.seconds,
            waiting=waiting,
            deltas=within,
        )


def _share(delta: CounterDelta[Cpu]) -> float:
    spent, busy = spent_by_cpus((delta,))
    return spent[Cpu.steal] / sum(spent.values()) if busy else 0.0


def explain(window: Window, stolen: Stolen) -> Explanation:
    """Everything on this machine runs slower, and nothing on it can change that."""
    hypervisor = Entity("machine", "hypervisor", "hypervisor")
    run = stolen.run
    waiting = [use for use in stolen.waiting if not use.is_kernel_worker]
    return Explanation(
        culprit=hypervisor,
        onset_ns=window.at(run.first),
        victims=tuple(use.entity for use in waiting)[:5],
        does=f"takes {100 * stolen.lost_share:.0f} % of the CPU time that this machine wants",
        harm=f"waits {of_every_second(waiting[0].queued_in(run), run.seconds)} for a CPU" if waiting else "",
        suffering_s=stolen.suffering_s,
        path=path(
            *(
                claim(
                    f"{use.comm} ({use.pid}) was ready to run and waited {use.queued_in(run):.1f} s of {run.seconds} s",
                    shown(window, use, run, "queued"),
                )
                for use in stolen.waiting[:2]
            ),
            claim(
                f"the hypervisor took {stolen.stolen_share:.0%} of all CPU time, {stolen.lost_share:.0%} of what this "
                f"machine wanted, for {run.seconds} s",
                window.evidence(samples_of(stolen.deltas), Cpu.steal, "increase"),
            ),
        ),
        refuted_by="the machine is as slow on a host of its own",
        outlook="everything here runs slower, and nothing here can change it",
        actions=(
            LOOK.on(hypervisor, "ask who runs the host, or move the machine: its host, or its CPU credits, are "
                "used up",
            ),
        ),
    )  # fmt: skip


MECHANISM = Mechanism[Stolen](
    fault=CPU_STEAL,
    summary="The host has more virtual CPUs to run than CPUs, or holds this machine back, and its programs run slower.",
    measure=measure,
    checks=(
        Check(
            id="takes_much",
            says="a seventh of the CPU time or more is taken",
            holds=lambda stolen: stolen.stolen_share >= MUCH_SHARE,
            supports=2.5,
            refutes=3.0,
            because="judged: it is what the fault consists of, as the kernel counts it; below it, the machine's own "
            "I/O may be what the host spends it on",
        ),
        Check(
            id="slows_what_wants_a_cpu",
            says="what wants a CPU is slowed by it",
            holds=lambda stolen: stolen.lost_share >= LOST_SHARE,
            supports=1.0,
            refutes=4.0,
            because="judged: it follows from much being taken, so it supports little; where programs get nearly all "
            "that they want, nobody is harmed",
        ),
        LASTS,
    ),
    explain=explain,
)
