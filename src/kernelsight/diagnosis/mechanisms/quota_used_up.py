"""Quotas: control groups that may not use the CPU time that they want."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.contention import HELD_SHARE, held, throttled
from kernelsight.diagnosis.cpu_time import Use, cpu_use
from kernelsight.diagnosis.faults.cpu_throttling import CPU_THROTTLING
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.remedies import RAISE_CPU_QUOTA
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, runs, samples_of
from kernelsight.events.cgroup import Cgroup

HIT_SHARE = Threshold(
    0.1,
    "share of a group's periods",
    because="judged: a group that meets its quota once in ten periods of 100 ms does so every second; one that meets "
    "it more seldom has a peak now and then (Documentation/scheduler/sched-bwc.rst: nr_throttled, nr_periods)",
)


@dataclass(frozen=True, slots=True)
class Throttled:
    """A control group in a stretch of seconds in which its quota held it back."""

    group: str
    run: Interval
    held_s: float
    """Seconds that its quota held it back, as the kernel counts them."""
    periods: float
    hit_periods: float
    """Periods in which it used up its quota."""
    has_quota: bool
    slowed: Sequence[Use]
    """Its processes that waited for a CPU, those that waited longest first."""
    deltas: Sequence[CounterDelta[Cgroup]]

    @property
    def hit_share(self) -> float:
        """Of its periods, the share in which it used up its quota."""
        return self.hit_periods / max(self.periods, 1)


def measure(window: Window) -> Iterable[Throttled]:
    """Each group and stretch in which a quota held it back, but for groups whose descendant is held back as long."""
    for deltas in window.deltas(Cgroup).values():
        shares = {window.second(delta.after): held((delta,)) / delta.seconds for delta in deltas}
        for run in runs(shares, lambda share: share >= HELD_SHARE):
            within = window.during(deltas, run)
            if not _is_a_descendants(window, within, run):
                yield _throttled(window, within, run)


def _throttled(window: Window, within: Sequence[CounterDelta[Cgroup]], run: Interval) -> Throttled:
    last = within[-1].after
    inside = [use for use in window.once(cpu_use) if use.is_in(last) and use.queued_in(run)]
    return Throttled(
        group=str(last.cgroup),
        run=run,
        held_s=held(within),
        periods=sum(delta.of(Cgroup.cpu_periods) for delta in within),
        hit_periods=sum(delta.of(Cgroup.cpu_throttled_periods) for delta in within),
        has_quota=last.cpu_quota_us is not None,
        slowed=sorted(inside, key=lambda use: -use.queued_in(run)),
        deltas=within,
    )


def _is_a_descendants(window: Window, within: Sequence[CounterDelta[Cgroup]], run: Interval) -> bool:
    """Whether a group below is held back as long: then that one's quota is the tighter one."""
    below = str(within[-1].after.cgroup).rstrip("/") + "/"
    return any(
        str(other[-1].after.cgroup).startswith(below) and held(other) >= held(within)
        for other in throttled(window, run)
    )


def explain(window: Window, group: Throttled) -> Explanation:
    """The group waits for its next period, and its processes with it."""
    culprit = Entity("cgroup", group.group, group.group)
    rows = samples_of(group.deltas)
    much = f"{group.held_s:.1f} s in {group.run.seconds} s, in {group.hit_periods:.0f} of {group.periods:.0f} periods"
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(group.run.first),
        victims=tuple(use.entity for use in group.slowed[:5]),
        does="is throttled by its CPU quota",
        detail=of_every_second(group.held_s, group.run.seconds),
        harm="stands still with it",
        suffering_s=group.held_s,
        path=path(
            claim(
                f"{culprit.name} was throttled {much}",
                window.evidence(rows, Cgroup.cpu_throttled_us, "increase"),
                window.evidence(rows, Cgroup.cpu_throttled_periods, "increase"),
            ),
            claim("its quota is what holds it back", window.evidence(rows, Cgroup.cpu_quota_us, "last")),
        ),
        refuted_by="the group is as slow with a larger quota",
        outlook="what runs in the group stays slow, however idle the machine is",
        actions=(RAISE_CPU_QUOTA.on(culprit, f"raise cpu.max of {culprit.name}, or give it less to do"),),
    )


MECHANISM = Mechanism[Throttled](
    fault=CPU_THROTTLING,
    summary="The processes of a group want more CPU time than its quota allows in a period, and wait for the next one.",
    measure=measure,
    checks=(
        Check(
            id="hit_often",
            says="it was throttled in a good part of its periods",
            holds=lambda group: group.hit_share >= HIT_SHARE,
            supports=3.0,
            refutes=3.0,
            because="judged: the kernel itself counts these periods, so a good part of them is nearly proof, and a "
            "small part nearly proof of the contrary",
        ),
        Check(
            id="has_quota",
            says="it has a quota",
            holds=lambda group: group.has_quota,
            supports=1.0,
            refutes=3.0,
            because="judged: who is throttled has a quota by definition; without one in sight, a group above it has "
            "it, or it was lifted meanwhile, and raising it here changes nothing",
        ),
    ),
    explain=explain,
)
