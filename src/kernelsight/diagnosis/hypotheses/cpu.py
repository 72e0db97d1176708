"""Waiting for a CPU: because few take them all, because very many want them, or because a quota says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import Program, Use, cpu_use, shown, total
from kernelsight.diagnosis.hypothesis import Candidate, hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import Change, Row, Run, Scene, runs

WAITS_PER_S = 0.25
"""Seconds a second that processes together wait for a CPU before anybody can be said to suffer."""
SLOWED_SHARE = 0.3
"""Of the time that a process wanted to run, the share that it waited, from which on it suffers."""
HELD_SHARE = 0.05
"""Of the time, the share in which a quota holds a group back before it matters."""
CROWD = 5.0
"""Runnable threads a CPU from which on their number is what hurts, and not who they are."""


@dataclass(frozen=True, slots=True)
class Contention:
    """A stretch in which processes waited for CPUs, and the processes by what they used in it."""

    run: Run
    uses: Sequence[Use]
    """All that ran, the largest consumers first; without those that a quota holds back, whose waits are its."""

    def outside(self, program: Program) -> list[Use]:
        """Who is slowed and does not belong to a program: those that waited longest first."""
        others = [use for use in self.uses if use.program != program and not use.is_kernel_worker]
        slowed = [use for use in others if self.slowed(use)]
        return sorted(slowed, key=lambda use: -use.queued_in(self.run))

    def slowed(self, use: Use) -> bool:
        """Whether a process waited for a good part of the time in which it wanted to run."""
        queued = use.queued_in(self.run)
        wanted = queued + use.ran_in(self.run)
        return queued >= 0.02 * self.run.seconds and queued >= SLOWED_SHARE * wanted

    def load(self, cpus: int) -> float:
        """Threads a CPU that ran or waited, on average."""
        return sum(use.ran_in(self.run) + use.queued_in(self.run) for use in self.uses) / (self.run.seconds * cpus)


def contention(scene: Scene) -> Iterator[Contention]:
    """The stretches in which processes wait for CPUs."""
    uses = scene.once(cpu_use)
    for run in runs(total(uses, "queued"), lambda waited: waited >= WAITS_PER_S):
        held = {name for group in throttled(scene, run) for name in (group["cgroup_id"], group["cgroup"])} - {None}
        free = [use for use in uses if use.group not in held and (use.ran_in(run) or use.queued_in(run))]
        if free:
            yield Contention(run, sorted(free, key=lambda use: -use.ran_in(run)))


@hypothesis("cpu_saturation")
def few_take_all(scene: Scene) -> Iterable[Candidate]:
    """A few tasks use most of the CPUs, and others wait for them."""
    for stretch in contention(scene):
        run, seconds = stretch.run, stretch.run.seconds
        largest = stretch.uses[0]
        fellows = [use for use in stretch.uses if use.program == largest.program]
        victims = stretch.outside(largest.program)
        taken = sum(use.ran_in(run) for use in fellows) / seconds
        waited = sum(use.queued_in(run) for use in victims) / seconds
        load = stretch.load(scene.cpus)
        candidate = Candidate(
            "cpu_saturation", largest.entity, scene.at(run.first), tuple(v.entity for v in victims[:5])
        )
        candidate.suffering_s = waited * seconds
        candidate.check("others wait for a CPU", bool(victims) and waited >= 0.05, 2.5, 5.0)
        candidate.check(f"{largest.comm} uses at least half of a CPU", taken >= 0.5, 1.5, 4.0)
        candidate.check("few tasks use most of the time", taken >= 0.4 * _used(stretch) and load < CROWD, 1.5, 4.0)
        for victim in victims[:3]:
            claim = (
                f"{victim.comm} ({victim.pid}) was ready to run and waited {victim.queued_in(run):.1f} s of {seconds} s"
            )
            candidate.step(claim, shown(scene, victim, run, "queued"))
        used = largest.ran_in(run) / seconds
        candidate.step(
            f"meanwhile {largest.comm} ({largest.pid}) used {100 * used:.0f} % of a CPU"
            + (f", with {len(fellows) - 1} others of its kind {100 * taken:.0f} %" if len(fellows) > 1 else ""),
            shown(scene, largest, run, "ran"),
        )
        candidate.refuted_by = f"the others still wait as long when {largest.comm} does not run"
        candidate.actions = (
            Proposal(
                "renice", largest.entity, f"give {largest.comm} a lower priority, so that it yields to the others"
            ),
            Proposal("limit_cpu", largest.entity, f"give {largest.comm} a CPU quota"),
        )
        candidate.outlook = "the others go on being slow while it runs"
        yield candidate


@hypothesis("runqueue_contention")
def very_many_want_a_cpu(scene: Scene) -> Iterable[Candidate]:
    """Far more threads are runnable than there are CPUs, and each gets little."""
    for stretch in contention(scene):
        run, load = stretch.run, stretch.load(scene.cpus)
        program = max((use.program for use in stretch.uses), key=lambda one: _wanted(stretch, one))
        fellows = sorted((use for use in stretch.uses if use.program == program), key=lambda use: -use.queued_in(run))
        wanted = _wanted(stretch, program)
        got = sum(use.ran_in(run) for use in fellows)
        victims = stretch.outside(program)
        culprit = fellows[0].entity
        candidate = Candidate("runqueue_contention", culprit, scene.at(run.first), tuple(v.entity for v in victims[:5]))
        candidate.suffering_s = sum(use.queued_in(run) for use in stretch.uses)
        candidate.check(f"{load:.0f} threads a CPU are runnable", load >= CROWD, 3.0, 5.0)
        candidate.check("each gets a small share", got <= wanted / CROWD, 1.5, 3.0)
        candidate.check(
            "one program makes up most of the crowd", wanted >= 0.5 * load * scene.cpus * run.seconds, 1.0, 2.0
        )
        claim = f"{len(fellows)} processes {culprit.name} waited {wanted - got:.0f} s for a CPU in {run.seconds} s"
        candidate.step(claim, *(shown(scene, use, run, "queued") for use in fellows[:5]))
        candidate.refuted_by = "the run queue stays as long with fewer of these threads"
        candidate.actions = (Proposal("limit_cpu", culprit, f"run fewer threads of {culprit.name} at a time"),)
        yield candidate


@hypothesis("cpu_throttling")
def held_back_by_a_quota(scene: Scene) -> Iterable[Candidate]:
    """A control group has used up its quota and waits for the next period."""
    for path, changes in scene.changes("cgroup").items():
        shares = {
            scene.second(change.after): change.of("cpu_throttled_us") / 1e6 / change.seconds for change in changes
        }
        for run in runs(shares, lambda share: share >= HELD_SHARE):
            within = _of_run(scene, changes, run)
            if _below(path[0], scene, run):
                continue  # the limit is a descendant's: that one is yielded by itself
            culprit = Entity("cgroup", str(path[0]), str(path[0]))
            members = [use for use in scene.once(cpu_use) if _belongs(use, within[-1].after)]
            victims = sorted(members, key=lambda use: -use.queued_in(run))[:5]
            periods, hit = (sum(c.of(m) for c in within) for m in ("cpu_periods", "cpu_throttled_periods"))
            candidate = Candidate("cpu_throttling", culprit, scene.at(run.first), tuple(v.entity for v in victims))
            candidate.suffering_s = sum(change.of("cpu_throttled_us") for change in within) / 1e6
            candidate.check(
                "the group was throttled in a good part of its periods", hit >= 0.1 * max(periods, 1), 3.0, 3.0
            )
            candidate.check("it has a quota", within[-1].after["cpu_quota_us"] is not None, 1.0, 3.0)
            rows = [within[0].before, *(change.after for change in within)]
            much = f"{candidate.suffering_s:.1f} s in {run.seconds} s, in {hit:.0f} of {periods:.0f} periods"
            candidate.step(
                f"{culprit.name} was throttled {much}",
                scene.evidence("cgroup", rows, "cpu_throttled_us", "increase"),
                scene.evidence("cgroup", rows, "cpu_throttled_periods", "increase"),
            )
            candidate.step("its quota is what holds it back", scene.evidence("cgroup", rows, "cpu_quota_us", "last"))
            candidate.refuted_by = "the group is as slow with a larger quota"
            candidate.actions = (Proposal("raise_limit", culprit, f"raise cpu.max of {culprit.name}"),)
            yield candidate


def throttled(scene: Scene, run: Run) -> list[Row]:
    """The control groups (their last rows) that were held back by a quota for a good part of a stretch."""
    found = []
    for changes in scene.changes("cgroup").values():
        within = _of_run(scene, changes, run)
        if sum(change.of("cpu_throttled_us") for change in within) / 1e6 >= HELD_SHARE * run.seconds:
            found.append(within[-1].after)
    return found


def _of_run(scene: Scene, changes: Iterable[Change], run: Run) -> list[Change]:
    return [change for change in changes if run.first <= scene.second(change.after) <= run.last]


def _below(path: str, scene: Scene, run: Run) -> bool:
    return any(str(group["cgroup"]).startswith(path.rstrip("/") + "/") for group in throttled(scene, run))


def _belongs(use: Use, group: Row) -> bool:
    return use.group is not None and use.group in (group["cgroup_id"], group["cgroup"])


def _used(stretch: Contention) -> float:
    return sum(use.ran_in(stretch.run) for use in stretch.uses) / stretch.run.seconds


def _wanted(stretch: Contention, program: Program) -> float:
    return sum(use.ran_in(stretch.run) + use.queued_in(stretch.run) for use in stretch.uses if use.program == program)
