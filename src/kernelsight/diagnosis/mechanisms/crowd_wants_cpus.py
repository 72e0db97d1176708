"""Waiting for a CPU because very many threads want one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import CROWD_PER_CPU, Contention, contention, largest_kin
from kernelsight.diagnosis.cpu_time import WORKS, Use, shown
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.runqueue_contention import RUNQUEUE_CONTENTION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.phrases import of_every_second, verb
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.remedies import LIMIT_CPU
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window

MOST_SHARE = Threshold(
    0.5, "share of the CPUs that are wanted", because="judged: half of a crowd is what can be acted on as one"
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Processes of one program or parent that make up most of those who want a CPU."""

    stretch: Contention
    duration: Duration
    fellows: Sequence[Use]
    """Those that waited longest first."""
    load_per_cpu: float
    """Threads a CPU that ran or waited, of everybody who does not give way."""
    cpus: int
    """CPUs that are short."""
    wanted_cpus: float
    """CPUs that the crowd wants, on average."""
    got_cpus: float
    """CPUs that it got."""
    ran_s: float
    """What it ran."""
    switches: float
    """How often it left a CPU."""


def measure(window: Window) -> Iterable[Crowd]:
    """The largest crowd of each stretch in which processes wait for CPUs that are busy."""
    for stretch in window.once(contention):
        fellows = _crowd(window, stretch)
        yield Crowd(
            stretch,
            duration_of(window, stretch.run),
            fellows,
            load_per_cpu=stretch.load,
            cpus=stretch.cpus,
            wanted_cpus=stretch.per_second(fellows, Use.wanted_in),
            got_cpus=stretch.per_second(fellows, Use.ran_in),
            ran_s=sum(use.ran_in(stretch.run) for use in fellows),
            switches=sum(use.switches_in(stretch.run) for use in fellows),
        )


def _crowd(window: Window, stretch: Contention) -> list[Use]:
    """The processes that make up most of those who want a CPU: of one program, or children of one parent."""
    known = window.once(processes)

    def wanted(use: Use) -> float:
        return use.wanted_in(stretch.run)

    def parent(use: Use) -> Hashable:
        process = known.get(use.pid)
        return process.parent if process is not None and (process.parent or 0) > 1 else use.pid

    def of(kin: Callable[[Use], Hashable]) -> list[Use]:
        chosen = largest_kin(everybody, kin, wanted)
        return [use for use in everybody if kin(use) == chosen]

    programs = [use for use in stretch.insisting if use.pid not in known or not known[use.pid].is_kernel_thread]
    everybody = programs or stretch.insisting or stretch.uses  # threads of the kernel work on behalf of others
    program, children = of(lambda use: use.program), of(parent)
    most = program if sum(map(wanted, program)) >= MOST_SHARE * sum(map(wanted, everybody)) else children
    return sorted(most, key=lambda use: -use.queued_in(stretch.run))


def explain(window: Window, crowd: Crowd) -> Explanation:
    """Whatever else runs gets its turn late; fewer of the crowd may run at a time."""
    stretch, run, culprit = crowd.stretch, crowd.stretch.run, crowd.fellows[0].entity
    others = stretch.others(crowd.fellows)
    fellows = len(crowd.fellows) - 1
    waited_s = (crowd.wanted_cpus - crowd.got_cpus) * run.seconds
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(stretch.began(crowd.fellows)),
        victims=tuple(use.entity for use in others[:5]),
        does=f"{verb('wants', fellows)} {crowd.wanted_cpus:.1f} CPUs and {verb('gets', fellows)} {crowd.got_cpus:.1f}",
        harm=f"waits {of_every_second(others[0].queued_in(run), run.seconds)} for a CPU" if others else "",
        fellows=tuple(use.entity for use in crowd.fellows[1:]),
        suffering_s=stretch.per_second(stretch.uses, Use.queued_in) * run.seconds,
        path=path(
            claim(
                f"{len(crowd.fellows)} processes {culprit.name} waited {waited_s:.0f} s for a CPU in {run.seconds} s",
                *(shown(window, use, run, "queued") for use in crowd.fellows[:5]),
            )
        ),
        refuted_by="the run queue stays as long with fewer of these threads",
        outlook="whatever else runs gets its turn late",
        actions=(LIMIT_CPU.on(culprit, f"run fewer threads of {culprit.name} at a time"),),
    )


MECHANISM = Mechanism[Crowd](
    fault=RUNQUEUE_CONTENTION,
    summary="Very many threads of one program or parent want a CPU at the same time, so that everybody's turn is late.",
    measure=measure,
    checks=(
        Check(
            id="many_a_cpu",
            says="{load_per_cpu:.0f} threads a CPU are runnable",
            holds=lambda crowd: crowd.load_per_cpu >= CROWD_PER_CPU,
            supports=3.0,
            refutes=5.0,
            because="judged: it is what the fault consists of; with fewer, who they are matters (`cpu_saturation`)",
        ),
        Check(
            id="small_shares",
            says="each gets a small share",
            holds=lambda crowd: crowd.got_cpus <= crowd.wanted_cpus / CROWD_PER_CPU,
            supports=1.5,
            refutes=3.0,
            because="calculated: who shares a CPU with five others gets a sixth of it; who gets more has priority",
        ),
        WORKS,
        Check(
            id="one_program",
            says="one program makes up most of the crowd",
            holds=lambda crowd: crowd.wanted_cpus >= MOST_SHARE * crowd.load_per_cpu * crowd.cpus,
            supports=1.0,
            refutes=2.0,
            because="judged: of a mixed crowd no part is to blame",
        ),
        LASTS,
    ),
    explain=explain,
)
