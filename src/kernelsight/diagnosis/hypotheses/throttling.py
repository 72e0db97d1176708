"""Quotas: control groups that may not use the CPU time that they want."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelsight.diagnosis.contention import HELD_SHARE, held, throttled
from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.hypothesis import Candidate, hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import Change, Run, Scene, runs, samples_of

HIT_SHARE = 0.1
"""Of a group's periods, the share in which it was throttled that makes a habit of it."""


@hypothesis("cpu_throttling", needs=("cgroup",))
def held_back_by_a_quota(scene: Scene) -> Iterable[Candidate]:
    """A control group uses up its quota and waits for the next period, again and again."""
    for changes in scene.changes("cgroup").values():
        shares = {scene.second(change.after): held((change,)) / change.seconds for change in changes}
        for run in runs(shares, lambda share: share >= HELD_SHARE):
            within = scene.during(changes, run)
            if not _is_a_descendants(scene, within, run):
                yield _candidate(scene, within, run)


def _candidate(scene: Scene, within: Sequence[Change], run: Run) -> Candidate:
    last = within[-1].after
    culprit = Entity("cgroup", str(last["cgroup"]), str(last["cgroup"]))
    candidate = Candidate("cpu_throttling", culprit, scene.at(run.first))
    candidate.suffering_s = held(within)
    inside = [use for use in scene.once(cpu_use) if use.is_in(last) and use.queued_in(run)]
    slowed = sorted(inside, key=lambda use: -use.queued_in(run))
    candidate.victims = tuple(use.entity for use in slowed[:5])
    periods, hit = (sum(c.of(m) for c in within) for m in ("cpu_periods", "cpu_throttled_periods"))
    candidate.check("it was throttled in a good part of its periods", hit >= HIT_SHARE * max(periods, 1), 3.0, 3.0)
    candidate.check("it has a quota", last["cpu_quota_us"] is not None, 1.0, 3.0)
    rows = samples_of(within)
    much = f"{candidate.suffering_s:.1f} s in {run.seconds} s, in {hit:.0f} of {periods:.0f} periods"
    candidate.step(
        f"{culprit.name} was throttled {much}",
        scene.evidence("cgroup", rows, "cpu_throttled_us", "increase"),
        scene.evidence("cgroup", rows, "cpu_throttled_periods", "increase"),
    )
    candidate.step("its quota is what holds it back", scene.evidence("cgroup", rows, "cpu_quota_us", "last"))
    candidate.refuted_by = "the group is as slow with a larger quota"
    candidate.outlook = "what runs in the group stays slow, however idle the machine is"
    candidate.actions = (Proposal("raise_limit", culprit, f"raise cpu.max of {culprit.name}, or give it less to do"),)
    return candidate


def _is_a_descendants(scene: Scene, within: Sequence[Change], run: Run) -> bool:
    """Whether a group below is held back as long: then that one's quota is the tighter one."""
    below = str(within[-1].after["cgroup"]).rstrip("/") + "/"
    return any(
        str(other[-1].after["cgroup"]).startswith(below) and held(other) >= held(within)
        for other in throttled(scene, run)
    )
