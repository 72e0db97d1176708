"""Control groups that may read or write no faster than a limit says, and have arrived there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.devices import Load, devices
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.processes import is_within, members
from kernelsight.diagnosis.scene import CounterDelta, Run, Scene, runs, samples_of
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.storage import Waiter, shown_waits, slowed
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import Field, Metric, getter, name_of
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait


class Limited(NamedTuple):
    """A counter of a control group, what holds it back, and what of a device is the same."""

    metric: Metric[Cgroup]
    limit: Field[Cgroup, int | None]
    of_device: Callable[[Load], float]
    noun: str

    def limit_of(self, group: Cgroup) -> int:
        """What a group may do a second; 0 where it has no limit."""
        return getter(self.limit)(group) or 0


LIMITED = (
    Limited(Cgroup.io_read_ios, Cgroup.io_read_ios_limit, attrgetter("reads"), "reads"),
    Limited(Cgroup.io_write_ios, Cgroup.io_write_ios_limit, attrgetter("writes"), "writes"),
    Limited(Cgroup.io_read_bytes, Cgroup.io_read_bytes_limit, attrgetter("read_bytes"), "bytes read"),
    Limited(Cgroup.io_write_bytes, Cgroup.io_write_bytes_limit, attrgetter("write_bytes"), "bytes written"),
)
BEYOND = 1.25
"""How far beyond a limit samples may seem to be; what is farther uses other devices, that the limit is not for."""
LONGER = 10.0
"""How many times as long as the device a wait takes of which nearly all is before the device."""
AT_LIMIT = 0.85
"""Of what a limit lets pass, the share from which on it is what decides how fast it goes."""
_SLICES_PER_S = 10


def passes(limit: int, metric: Metric[Cgroup]) -> float:
    """What a limit lets pass in a second.

    The kernel gives out what is allowed in slices of a tenth of a second (block/blk-throttle.c), whole requests
    each: of 25 a second it lets 20 pass.
    """
    in_requests = name_of(metric).endswith("_ios") and limit >= _SLICES_PER_S
    return float(limit // _SLICES_PER_S * _SLICES_PER_S) if in_requests else float(limit)


def held_back(scene: Scene) -> Iterator[Candidate]:
    """A candidate for every control group that is at a limit for I/O, with those of its processes that wait.

    A limit of the root group holds back whoever uses one device: then it is as if that device were slow.
    """
    for (path,), changes in scene.deltas(Cgroup).items():
        for what in LIMITED:
            if path == "/":
                yield from _by_root(scene, changes, what)
                continue
            shares = {scene.second(change.after): _share(change, what) for change in changes}
            for run in telling(runs(shares, lambda share: AT_LIMIT <= share <= BEYOND)):
                group = _last(scene, changes, run)
                culprit = Entity("cgroup", str(path), str(path))
                inside = {one.pid for one in members(scene, group)} | _counted_to(scene, str(path))
                waiting = [one for one in slowed(scene, run) if one.pid in inside]
                candidate = _candidate(scene, culprit, run, waiting)
                _say_limit(scene, candidate, changes, run, what)
                yield candidate


def _by_root(scene: Scene, changes: Sequence[CounterDelta[Cgroup]], what: Limited) -> Iterator[Candidate]:
    limit = what.limit_of(changes[-1].after) if changes else None
    if not limit:
        return
    for device in scene.once(devices).values():
        allowed = passes(limit, what.metric)
        rates = {second: what.of_device(load) / load.seconds for second, load in device.loads.items()}
        shares = {second: rate / allowed for second, rate in rates.items()}
        for run in telling(runs(shares, lambda share: AT_LIMIT <= share <= BEYOND)):
            latency = device.load(run).latency_s
            waiting = [one for one in slowed(scene, run) if one.mean_s(run) >= LONGER * latency]
            candidate = _candidate(scene, device.entity, run, waiting)
            candidate.check("the requests wait before they come to the device", bool(waiting), 0.5, 3.0)
            _say_limit(scene, candidate, changes, run, what)
            yield candidate


def _candidate(scene: Scene, culprit: Entity, run: Run, waiting: Sequence[Waiter]) -> Candidate:
    candidate = Candidate("disk_latency", culprit, scene.at(run.first), tuple(one.entity for one in waiting[:5]))
    candidate.suffering_s = sum(one.waited_in(run) for one in waiting)
    candidate.check("a limit for I/O is reached", holds=True, speaks_for=2.5, speaks_against=4.0)
    candidate.check("who it holds back waits for storage", bool(waiting) or not scene.rows(Wait), 1.5, 3.0)
    for one in waiting[:3]:
        claim = f"{one.comm} ({one.pid}) waited {one.waited_in(run):.1f} s of {run.seconds} s for storage"
        candidate.step(claim, shown_waits(scene, one, run))
    candidate.refuted_by = f"{culprit.name} is as slow with a higher limit"
    candidate.outlook = "they go on waiting, whatever the disk could do"
    candidate.actions = (
        Proposal("raise_limit", culprit, f"raise what {culprit.name} may do (io.max, blkio.throttle)"),
    )
    return candidate


def _say_limit(
    scene: Scene, candidate: Candidate, changes: Sequence[CounterDelta[Cgroup]], run: Run, what: Limited
) -> None:
    within = scene.during(changes, run) or changes[-1:]
    group = within[-1].after
    rows = samples_of(within)
    candidate.step(
        f"{group.cgroup} may make {what.limit_of(group):,} {what.noun} a second on a device, and that is what it gets",
        scene.evidence(rows, what.metric, "increase"),
        scene.evidence(rows[1:], what.limit, "last"),
    )


def _last(scene: Scene, changes: Sequence[CounterDelta[Cgroup]], run: Run) -> Cgroup:
    return scene.during(changes, run)[-1].after


def _counted_to(scene: Scene, path: str) -> set[int]:
    """The processes whose I/O counts to a group or to one below it, where that is a group of another hierarchy."""
    return {row.pid for row in scene.rows(Process) if row.pid is not None and is_within(row.io_cgroup, path)}


def _share(change: CounterDelta[Cgroup], what: Limited) -> float:
    allowed = what.limit_of(change.after)
    return change.of(what.metric) / change.seconds / passes(allowed, what.metric) if allowed else 0.0
