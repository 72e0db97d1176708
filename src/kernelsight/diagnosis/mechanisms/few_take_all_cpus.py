"""Waiting for a CPU because few tasks take them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import (
    CROWD_PER_CPU,
    Contention,
    contention,
    interrupted,
    largest_kin,
    taken_away,
)
from kernelsight.diagnosis.cpu_time import WORKS, Use, shown
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.cpu_saturation import CPU_SATURATION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.phrases import of_every_second, verb
from kernelsight.diagnosis.remedies import LIMIT_CPU, RENICE
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.signals.rules.processes import WAITS_FOR_CPU_MS_PER_S

BEYOND_CPUS = Threshold(
    0.5, "CPUs", because="judged: half a task more than there are CPUs is more than the accuracy of a sum"
)
DELAYED_SHARE = Threshold(
    0.2,
    "share of the time that loops want a CPU",
    because="calculated: with one loop more than CPUs it is a third on two CPUs and a fifth on four; on a larger "
    "machine one loop more is no matter",
)
MOST_SHARE = Threshold(
    0.4,
    "share of the CPU time that is used",
    because="judged: besides those who are to blame and those who suffer, others may run",
)
FELT_PER_S = Threshold(
    WAITS_FOR_CPU_MS_PER_S / 1000 / 5,
    "s of waiting for a CPU per second",
    because="judged: small programs wait as long together beside any two compilers. A fifth of what the signal "
    "`process_waits_for_cpu` tells at",
)
INTERRUPTED_SHARE = Threshold(
    0.4, "share of the busy time", because="judged: above it, interrupts are what the time goes to (`softirq_load`)"
)
TAKEN_AWAY_SHARE = Threshold(
    0.25, "share of the busy time", because="judged: above it, the hypervisor takes what is missing (`cpu_steal`)"
)


@dataclass(frozen=True, slots=True)
class Takers:
    """Who takes the CPUs in a stretch of seconds in which others wait for one."""

    stretch: Contention
    duration: Duration
    uses: Sequence[Use]
    """Loops if there are any, else all processes of the program that uses most; the largest consumers first."""
    fellows: Sequence[Use]
    """The processes of the program that uses most: who is to blame."""
    hurt: Sequence[Use]
    """Others that are slowed, those that waited longest first."""
    loops: int
    """Processes that want a CPU all the time."""
    loops_want_cpus: float
    """CPUs that the loops want together."""
    loops_wait_per_s: float
    """Seconds a second that the loops wait together."""
    others_wait_per_s: float
    """Seconds a second that those who are slowed wait together."""
    taken_cpus: float
    """CPUs that they used on average."""
    used_cpus: float
    """CPUs that were used by all who do not give way; at most as many as are short."""
    cpus: int
    """CPUs that are short."""
    load_per_cpu: float
    """Threads a CPU that ran or waited, on average."""
    interrupted_share: float
    """Of the busy time, what went to interrupts."""
    taken_away_share: float
    """Of the busy time, what the hypervisor took."""
    ran_s: float
    """What the fellows ran."""
    switches: float
    """How often the fellows left a CPU."""


def slow_each_other(takers: Takers) -> bool:
    """Whether loops want so many more CPUs than there are that they are slowed by each other."""
    wanted = takers.loops_want_cpus
    return wanted >= takers.cpus + BEYOND_CPUS and takers.loops_wait_per_s >= DELAYED_SHARE * wanted


def measure(window: Window) -> Iterable[Takers]:
    """Each stretch in which processes wait for CPUs that are busy."""
    for stretch in window.once(contention):
        uses: Sequence[Use] = stretch.loops or stretch.uses
        program = largest_kin(uses, lambda use: use.program, stretch.taken)
        if not stretch.loops:
            uses = [use for use in uses if use.program == program]
        fellows = [use for use in uses if use.program == program]
        hurt = stretch.others(fellows)
        yield Takers(
            stretch,
            duration_of(window, stretch.run),
            uses,
            fellows,
            hurt,
            loops=len(stretch.loops),
            loops_want_cpus=stretch.per_second(stretch.loops, Use.wanted_in),
            loops_wait_per_s=stretch.per_second(stretch.loops, Use.queued_in),
            others_wait_per_s=stretch.per_second(hurt, Use.queued_in),
            taken_cpus=stretch.per_second(uses, Use.ran_in),
            # What else ran on CPUs that are not short is no part of it, nor what runs when nobody else wants to.
            used_cpus=min(stretch.per_second(stretch.insisting, Use.ran_in), stretch.cpus),
            cpus=stretch.cpus,
            load_per_cpu=stretch.load,
            interrupted_share=interrupted(window, stretch.run),
            taken_away_share=taken_away(window, stretch.run),
            ran_s=sum(use.ran_in(stretch.run) for use in fellows),
            switches=sum(use.switches_in(stretch.run) for use in fellows),
        )


def explain(window: Window, takers: Takers) -> Explanation:
    """Others go on being slow while it runs; it can yield to them."""
    stretch, run, largest = takers.stretch, takers.stretch.run, takers.fellows[0]
    victims = takers.hurt or (_beside(takers) if slow_each_other(takers) else [])
    share, taken = (100 * stretch.per_second(uses, Use.ran_in) for uses in ((largest,), takers.fellows))
    others = len(takers.fellows) - 1
    fellows = f", with {others} others of its kind {taken:.0f} %" if others else ""
    return Explanation(
        culprit=largest.entity,
        onset_ns=window.at(stretch.began(takers.fellows)),
        victims=tuple(use.entity for use in victims[:5]),
        does=f"{verb('uses', others)} {share:.0f} % of a CPU"
        if not others
        else f"{verb('uses', others)} {taken / 100:.1f} of {window.cpus} CPUs",
        harm=f"waits {of_every_second(victims[0].queued_in(run), run.seconds)} for a CPU" if victims else "",
        fellows=tuple(use.entity for use in takers.fellows[1:]),
        suffering_s=stretch.per_second([*takers.hurt, *takers.uses], Use.queued_in) * run.seconds,
        path=path(
            *(
                claim(
                    f"{victim.comm} ({victim.pid}) was ready to run and waited {victim.queued_in(run):.1f} s of "
                    f"{run.seconds} s",
                    shown(window, victim, run, "queued"),
                )
                for victim in victims[:3]
            ),
            claim(
                f"{len(takers.uses)} processes that never sleep want {takers.loops_want_cpus:.1f} CPUs, and there are "
                f"{takers.cpus}",
                *(shown(window, use, run, "queued") for use in takers.uses[:5]),
            )
            if slow_each_other(takers)
            else None,
            claim(
                f"meanwhile {largest.comm} ({largest.pid}) used {share:.0f} % of a CPU{fellows}",
                shown(window, largest, run, "ran"),
            ),
        ),
        refuted_by=f"the others still wait as long when {largest.comm} does not run",
        outlook="the others go on being slow while it runs",
        actions=(
            RENICE.on(largest.entity, f"give {largest.comm} a lower priority, so that it yields to the others"),
            LIMIT_CPU.on(largest.entity, f"give {largest.comm} a CPU quota"),
        ),
    )


def _beside(takers: Takers) -> list[Use]:
    """Who waits beside those who take the CPUs; nobody else there, they suffer from each other."""
    run = takers.stretch.run
    others = [use for use in takers.stretch.uses if use not in takers.uses and not use.is_kernel_worker]
    waiting = [use for use in others if use.queued_in(run) >= FELT_PER_S * run.seconds]
    return sorted(waiting or takers.uses, key=lambda use: -use.queued_in(run))


MECHANISM = Mechanism[Takers](
    fault=CPU_SATURATION,
    summary="Few tasks never sleep and take the CPUs, so that others wait for one, or they wait for each other.",
    measure=measure,
    checks=(
        Check(
            id="somebody_is_slowed",
            says="others wait for a CPU, or what never sleeps wants more CPUs than there are",
            holds=lambda takers: takers.others_wait_per_s >= FELT_PER_S or slow_each_other(takers),
            supports=2.5,
            refutes=5.0,
            because="judged: it is the harm itself; CPUs that are busy while nobody waits are well used",
        ),
        Check(
            id="few_use_most",
            says="few tasks use most of the time",
            holds=lambda takers: (
                takers.taken_cpus >= MOST_SHARE * takers.used_cpus and takers.load_per_cpu < CROWD_PER_CPU
            ),
            supports=2.0,
            refutes=4.0,
            because="judged: else nobody in particular takes the CPUs, or it is their number that hurts "
            "(`runqueue_contention`)",
        ),
        Check(
            id="run_all_the_time",
            says="they run all the time, and are not short jobs",
            holds=lambda takers: bool(takers.loops),
            supports=1.0,
            refutes=4.5,
            because="judged: without loops it is many short jobs, or programs that keep each other busy, as a server "
            "and its clients do",
        ),
        Check(
            id="not_interrupts",
            says="the time does not go to interrupts",
            holds=lambda takers: takers.interrupted_share < INTERRUPTED_SHARE,
            supports=0.5,
            refutes=3.0,
            because="judged: it is so on nearly every machine, so it supports little; else it is `softirq_load`",
        ),
        Check(
            id="not_stolen",
            says="the hypervisor does not take it",
            holds=lambda takers: takers.taken_away_share < TAKEN_AWAY_SHARE,
            supports=0.0,
            refutes=3.0,
            because="judged: it is so on nearly every machine, so it supports nothing; else it is `cpu_steal`",
        ),
        LASTS,
        WORKS,
    ),
    explain=explain,
)
