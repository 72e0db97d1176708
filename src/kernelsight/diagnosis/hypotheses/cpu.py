"""Waiting for a CPU: because few take them all, or because very many want them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.contention import Contention, contention, interrupted, is_burst, taken_away
from kernelsight.diagnosis.cpu_time import Program, Use, shown, work
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.model import Proposal
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.scene import Scene

K = TypeVar("K", bound=Hashable)

CROWD = 6.0
"""Runnable threads a CPU from which on their number is what hurts, and not who they are."""
BEYOND = 0.5
"""CPUs more than there are that loops want together: half a task more is not the accuracy of a sum."""
DELAYED_SHARE = 0.2
"""Of the time that loops want a CPU, the share that they wait from which on they are slowed by each other.

With one loop more than CPUs it is a third on two CPUs, a fifth on four: on a larger machine that is no matter.
"""


@dataclass(frozen=True, slots=True)
class _Takers:
    """Who takes the CPUs in a stretch."""

    uses: Sequence[Use]
    """Loops if there are any, else all of the largest program; the largest consumers first."""
    program: Program
    """The program that uses most."""
    crowded: bool
    """They want more CPUs than are there, so that they slow each other."""

    def fellows(self) -> list[Use]:
        """The processes of the program that uses most."""
        return [use for use in self.uses if use.program == self.program]


@hypothesis("cpu_saturation")
def few_take_all(scene: Scene) -> Iterable[Candidate]:
    """A few tasks that hardly ever sleep use most of the CPUs, and others (or they themselves) wait for one."""
    for stretch in scene.once(contention):
        takers = _takers(stretch)
        fellows = takers.fellows()
        hurt = stretch.others(fellows)
        victims = hurt or (_beside(stretch, takers) if takers.crowded else [])
        candidate = Candidate("cpu_saturation", fellows[0].entity, scene.at(stretch.began(fellows)))
        candidate.victims = tuple(use.entity for use in victims[:5])
        candidate.suffering_s = stretch.per_second([*hurt, *takers.uses], Use.queued_in) * stretch.run.seconds
        waited = stretch.per_second(hurt, Use.queued_in)
        candidate.check(
            "others wait for a CPU, or what never sleeps wants more CPUs than there are",
            waited >= _FELT or takers.crowded, 2.5, 5.0,
        )  # fmt: skip
        _check_takers(candidate, stretch, takers)
        candidate.check("the time does not go to interrupts", interrupted(scene, stretch.run) < _INTERRUPTED, 0.5, 3.0)
        candidate.check("the hypervisor does not take it", taken_away(scene, stretch.run) < _TAKEN_AWAY, 0.0, 3.0)
        candidate.check("it goes on, or was more than a burst", not is_burst(scene, stretch.run), 0.0, 8.0)
        candidate.check("they work longer than it takes to switch to them", work(fellows, stretch.run), 0.0, 4.0)
        _say_who_waits(scene, candidate, stretch, victims, takers)
        _accuse(scene, candidate, stretch, fellows)
        yield candidate


def _check_takers(candidate: Candidate, stretch: Contention, takers: _Takers) -> None:
    taken = stretch.per_second(takers.uses, Use.ran_in)
    # What else ran on CPUs that are not short is no part of it, nor what runs when nobody else wants to.
    used = min(stretch.per_second(stretch.insisting, Use.ran_in), stretch.cpus)
    candidate.check("few tasks use most of the time", taken >= _MOST * used and stretch.load < CROWD, 2.0, 4.0)
    # Without them it is many short jobs, or programs that keep each other busy, as a server and its clients do.
    candidate.check("they run all the time, and are not short jobs", bool(stretch.loops), 1.0, 4.5)


def _say_who_waits(
    scene: Scene, candidate: Candidate, stretch: Contention, victims: Sequence[Use], takers: _Takers
) -> None:
    run = stretch.run
    for victim in victims[:3]:
        queued = victim.queued_in(run)
        claim = f"{victim.comm} ({victim.pid}) was ready to run and waited {queued:.1f} s of {run.seconds} s"
        candidate.step(claim, shown(scene, victim, run, "queued"))
    if takers.crowded:
        wanted = stretch.per_second(takers.uses, Use.wanted_in)
        candidate.step(
            f"{len(takers.uses)} processes that never sleep want {wanted:.1f} CPUs, and there are {stretch.cpus}",
            *(shown(scene, use, run, "queued") for use in takers.uses[:5]),
        )


_MOST = 0.4
"""Of the time that is used, what few tasks take that are to blame; besides them and who suffers, others may run."""
_FELT = 0.1
"""Seconds a second that the slowed wait together: less is what small programs wait beside any two compilers."""
_INTERRUPTED = 0.4
"""Of the busy time, what interrupts and softirqs may take before they are what it goes to."""
_TAKEN_AWAY = 0.25
"""Of the time that CPUs did not idle, what the hypervisor may take before it is what is missing (`cpu_steal`)."""


def _takers(stretch: Contention) -> _Takers:
    uses: Sequence[Use] = stretch.loops or stretch.uses
    program = _largest(uses, lambda use: use.program, stretch.taken)
    if not stretch.loops:
        uses = [use for use in uses if use.program == program]
    wanted, queued = (stretch.per_second(stretch.loops, what) for what in (Use.wanted_in, Use.queued_in))
    crowded = wanted >= stretch.cpus + BEYOND and queued >= DELAYED_SHARE * wanted
    return _Takers(uses, program, crowded)


def _beside(stretch: Contention, takers: _Takers) -> list[Use]:
    """Who waits beside those who take the CPUs; nobody else there, they suffer from each other."""
    others = [use for use in stretch.uses if use not in takers.uses and not use.is_kernel_worker]
    waiting = [use for use in others if use.queued_in(stretch.run) >= _FELT * stretch.run.seconds]
    return sorted(waiting or takers.uses, key=lambda use: -use.queued_in(stretch.run))


def _accuse(scene: Scene, candidate: Candidate, stretch: Contention, fellows: Sequence[Use]) -> None:
    """Say what the culprit used, and what to do about it."""
    run, largest = stretch.run, fellows[0]
    share, taken = (100 * stretch.per_second(uses, Use.ran_in) for uses in ((largest,), fellows))
    others = f", with {len(fellows) - 1} others of its kind {taken:.0f} %" if len(fellows) > 1 else ""
    candidate.step(
        f"meanwhile {largest.comm} ({largest.pid}) used {share:.0f} % of a CPU{others}",
        shown(scene, largest, run, "ran"),
    )
    candidate.refuted_by = f"the others still wait as long when {largest.comm} does not run"
    candidate.actions = (
        Proposal("renice", largest.entity, f"give {largest.comm} a lower priority, so that it yields to the others"),
        Proposal("limit_cpu", largest.entity, f"give {largest.comm} a CPU quota"),
    )
    candidate.outlook = "the others go on being slow while it runs"


@hypothesis("runqueue_contention")
def very_many_want_a_cpu(scene: Scene) -> Iterable[Candidate]:
    """Far more threads are runnable than there are CPUs, and each gets little."""
    for stretch in scene.once(contention):
        run, load = stretch.run, stretch.load
        fellows = _crowd(scene, stretch)
        wanted, got = (stretch.per_second(fellows, what) for what in (Use.wanted_in, Use.ran_in))
        culprit = fellows[0].entity
        victims = stretch.others(fellows)
        candidate = Candidate("runqueue_contention", culprit, scene.at(stretch.began(fellows)))
        candidate.victims = tuple(use.entity for use in victims[:5])
        candidate.suffering_s = stretch.per_second(stretch.uses, Use.queued_in) * run.seconds
        candidate.check(f"{load:.0f} threads a CPU are runnable", load >= CROWD, 3.0, 5.0)
        candidate.check("each gets a small share", got <= wanted / CROWD, 1.5, 3.0)
        candidate.check("they work longer than it takes to switch to them", work(fellows, run), 0.0, 4.0)
        candidate.check("one program makes up most of the crowd", wanted >= 0.5 * load * stretch.cpus, 1.0, 2.0)
        candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
        waited = (wanted - got) * run.seconds
        candidate.step(
            f"{len(fellows)} processes {culprit.name} waited {waited:.0f} s for a CPU in {run.seconds} s",
            *(shown(scene, use, run, "queued") for use in fellows[:5]),
        )
        candidate.refuted_by = "the run queue stays as long with fewer of these threads"
        candidate.outlook = "whatever else runs gets its turn late"
        candidate.actions = (Proposal("limit_cpu", culprit, f"run fewer threads of {culprit.name} at a time"),)
        yield candidate


def _crowd(scene: Scene, stretch: Contention) -> list[Use]:
    """The processes that make up most of those who want a CPU: of one program, or children of one parent."""

    def wanted(use: Use) -> float:
        return use.wanted_in(stretch.run)

    def parent(use: Use) -> Hashable:
        known = scene.once(processes).get(use.pid)
        return known.parent if known is not None and (known.parent or 0) > 1 else use.pid

    def of(kin: Callable[[Use], Hashable]) -> list[Use]:
        chosen = _largest(crowd, kin, wanted)
        return [use for use in crowd if kin(use) == chosen]

    known = scene.once(processes)
    programs = [use for use in stretch.insisting if use.pid not in known or not known[use.pid].is_kernel_thread]
    crowd = programs or stretch.insisting or stretch.uses  # threads of the kernel work on behalf of others
    program, children = of(lambda use: use.program), of(parent)
    most = program if sum(map(wanted, program)) >= 0.5 * sum(map(wanted, crowd)) else children
    return sorted(most, key=lambda use: -use.queued_in(stretch.run))


def _largest(uses: Iterable[Use], kin: Callable[[Use], K], amount: Callable[[Use], float]) -> K:
    """The kin whose amounts are the largest together; of equal ones, the first."""
    sums: dict[K, float] = {}
    for use in uses:
        sums[kin(use)] = sums.get(kin(use), 0.0) + amount(use)
    return max(sums, key=lambda one: sums[one])
