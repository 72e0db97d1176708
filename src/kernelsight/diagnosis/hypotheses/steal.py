"""CPU time that the hypervisor gives to other machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import is_burst, of_all_cpus, spent_by_cpus
from kernelsight.diagnosis.cpu_time import Use, cpu_use, shown
from kernelsight.diagnosis.hypothesis import Candidate, hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import Change, Run, Scene, runs, samples_of

STOLEN_SHARE = 0.05
"""Of all CPU time, what the hypervisor takes from which on it is worth a look: hosts with room take 1 to 2 %."""
MUCH_SHARE = 0.15
"""Of all CPU time, from which on it is a fault: a machine that makes its host work, by much I/O, loses 11 to 13 % to it
(recorded: `random_reads_beside_a_reader`, `more_files_than_fit`), and its own disk is what it waits for."""
LOST_SHARE = 0.15
"""Of the time in which this machine wanted CPUs, what it did not get, from which on programs are slowed by a sixth."""
LEAST_S = 5
"""Seconds: a host that is busy for a moment takes a lot, and gives it back."""
WAITS_PER_S = 0.1
"""Seconds a second that programs wait for a CPU together, from which on somebody suffers."""


@dataclass(frozen=True, slots=True)
class Stolen:
    """A stretch in which the hypervisor took CPU time from this machine."""

    run: Run
    changes: Sequence[Change]
    """Of all CPUs together."""
    share: float
    """Of all CPU time."""
    lost: float
    """Of the time in which this machine wanted a CPU."""
    waiting: Sequence[Use]
    """Processes that waited for a CPU meanwhile, those that waited longest first."""

    @property
    def waited(self) -> float:
        """Seconds a second that they waited together."""
        return sum(use.queued_in(self.run) for use in self.waiting) / self.run.seconds


def stolen(scene: Scene) -> list[Stolen]:
    """The stretches in which CPU time was stolen. Use with :meth:`Scene.once`."""
    changes = of_all_cpus(scene)
    shares = {scene.second(change.after): _share(change) for change in changes}
    found = []
    for run in runs(shares, lambda share: share >= STOLEN_SHARE, least=LEAST_S):
        within = scene.during(changes, run)
        spent, busy = spent_by_cpus(within)
        waiting = [use for use in scene.once(cpu_use) if use.queued_in(run) > 0]
        found.append(
            Stolen(
                run,
                within,
                share=spent["steal"] / sum(spent.values()),
                lost=spent["steal"] / busy,
                waiting=sorted(waiting, key=lambda use: -use.queued_in(run)),
            )
        )
    return found


def _share(change: Change) -> float:
    spent, busy = spent_by_cpus((change,))
    return spent["steal"] / sum(spent.values()) if busy else 0.0


@hypothesis("cpu_steal", needs=("cpu",))
def taken_by_the_hypervisor(scene: Scene) -> Iterable[Candidate]:
    """The hypervisor runs other machines in a good part of the time in which this one wants its CPUs."""
    for one in scene.once(stolen):
        hypervisor = Entity("machine", "hypervisor", "hypervisor")
        candidate = Candidate("cpu_steal", hypervisor, scene.at(one.run.first))
        candidate.victims = tuple(use.entity for use in one.waiting if not use.is_kernel_worker)[:5]
        candidate.suffering_s = one.share * scene.cpus * one.run.seconds
        candidate.check("a seventh of the CPU time or more is taken", one.share >= MUCH_SHARE, 2.5, 3.0)
        candidate.check("what wants a CPU is slowed by it", one.lost >= LOST_SHARE, 1.0, 4.0)
        if scene.once(cpu_use):
            candidate.check("programs wait for a CPU meanwhile", one.waited >= WAITS_PER_S, 0.5, 0.5)
        candidate.check("it goes on, or was more than a burst", not is_burst(scene, one.run), 0.0, 8.0)
        for use in one.waiting[:2]:
            candidate.step(
                f"{use.comm} ({use.pid}) was ready to run and waited {use.queued_in(one.run):.1f} s of "
                f"{one.run.seconds} s",
                shown(scene, use, one.run, "queued"),
            )
        candidate.step(
            f"the hypervisor took {one.share:.0%} of all CPU time, {one.lost:.0%} of what this machine wanted, for "
            f"{one.run.seconds} s",
            scene.evidence("cpu", samples_of(one.changes), "steal", "increase"),
        )
        candidate.refuted_by = "the machine is as slow on a host of its own"
        candidate.outlook = "everything here runs slower, and nothing here can change it"
        candidate.actions = (
            Proposal("look", hypervisor, "ask who runs the host, or move the machine: its host, or its CPU credits, "
                     "are used up"),
        )  # fmt: skip
        yield candidate
