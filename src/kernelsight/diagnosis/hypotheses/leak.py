"""Memory that a process takes and does not give back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeGuard

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.memory_use import (
    FULL_SHARE,
    KIB,
    AnyDomain,
    Holder,
    around,
    holders,
    killed_in,
    limited_groups,
    machine,
    short,
)
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import NS_PER_S, Row, Run, Scene, moment
from kernelsight.diagnosis.trend import Trend, straight

LEAST_S = 5.0
"""How long memory must have grown: start-up and single requests are over by then."""
LEAST_KB = 4096
"""By how much: allocators take memory by the mebibyte (glibc's heaps, Python's arenas), used or not."""
HORIZON_S = 7200.0
"""A limit that will be met later than in two hours leaves time to look again before."""
FORESIGHT = (300.0, 60.0, 10.0)
"""How many times as long as it has been seen growth is expected to go on: boldly, fairly, and safely. To say of
memory that grew for ten seconds that it will be used up in an hour is bold; the longer it grows, the less so."""
RESTS_SHARE = 0.5
"""Of the time, what a program runs or waits for a CPU less than that does not grow because it computes."""
GIVEN_BACK = 0.3
"""Of what it grew by, what a process may have given back before: more, and it uses memory in turns."""
WRITTEN = (0.5, 2.0)
"""What a process writes for each byte that files in memory grow by, if it is what fills them."""
SHARED = 1.5
"""Times what the shared memory of the machine grew by, from which on processes map the same of it."""
MAPPED = 0.25
"""Of what it grows by, what a process maps anew if it does not only fill what it had mapped before."""
ALIVE_S = 3.0
"""A process that grows has a sample every second; one without has ended, or grows no longer."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A process that grows, or fills files in memory, and the memory that it will use up first."""

    holder: Holder
    kind: str
    """The kind of event that shows it: of the process, or of the memory of the machine."""
    metric: str
    levels: Sequence[Row]
    """All samples of it, also those before it began to grow."""
    trend: Trend
    domain: AnyDomain
    until_s: float
    """From the last sample on."""


@hypothesis("memory_leak")
def memory_not_given_back(scene: Scene) -> Iterable[Candidate]:
    """The anonymous memory of one process grows at a steady rate and will meet a limit within two hours."""
    found = growths(scene)
    if not any(growth.metric == "rss_kb" for growth in found):  # else it is known whose the shared memory is
        found += _files_in_memory(scene)
    for growth in found:
        yield _leak(scene, growth)


def growths(scene: Scene) -> list[Growth]:
    """The processes that grow at a steady rate and meet a limit within the horizon."""
    end = max(map(moment, scene.rows("process")), default=0)
    groups = {one.entity.id: one for one in scene.once(limited_groups)}
    whole = scene.once(machine)
    found = []
    for holder in scene.once(holders):
        rows = holder.samples
        metric = _what_grows(rows) if end - moment(rows[-1]) <= ALIVE_S * NS_PER_S else None
        if metric is None:
            continue
        going = straight(rows, metric, least_s=LEAST_S)
        if not _matters(going) or not _is_its_own(scene, metric, going):
            continue
        limits = [*(groups[path] for path in around(holder.group) if path in groups), *([whole] if whole else ())]
        reached = [(max(0.0, one.left_kb) / going.per_second, one) for one in limits]
        if reached:
            until, domain = min(reached, key=lambda pair: pair[0])
            found.append(Growth(holder, "process", metric, rows, going, domain, until))
    return [growth for growth in _together(_once(scene, found)) if growth.until_s <= HORIZON_S]


def _once(scene: Scene, found: Sequence[Growth]) -> list[Growth]:
    """The same growths; of several processes that map the same shared memory, only the one that maps most of it."""
    shared = [growth for growth in found if growth.metric == "rss_kb"]
    if len(shared) < 2:
        return [*found]
    begin = min(growth.trend.onset_ns for growth in shared)
    levels = [row["shmem_kb"] for row in scene.rows("memory") if row["timestamp"] >= begin and row["shmem_kb"]]
    grown = [growth.trend.last - growth.trend.first for growth in shared]
    if not levels or sum(grown) <= SHARED * (levels[-1] - levels[0]):
        return [*found]
    first = shared[grown.index(max(grown))]
    return [growth for growth in found if growth.metric != "rss_kb" or growth is first]


def _together(found: Sequence[Growth]) -> list[Growth]:
    """The same growths, with when they will have used their memory up together."""
    rates: dict[Entity, float] = {}
    for growth in found:
        rates[growth.domain.entity] = rates.get(growth.domain.entity, 0.0) + growth.trend.per_second
    return [replace(growth, until_s=max(0.0, growth.domain.left_kb) / rates[growth.domain.entity]) for growth in found]


def _files_in_memory(scene: Scene) -> list[Growth]:
    """Files of tmpfs and shared memory that grow, with the process that writes as much: they are in no process."""
    whole, levels = scene.once(machine), scene.rows("memory")
    going = straight(levels, "shmem_kb", least_s=LEAST_S)
    if whole is None or not _matters(going):
        return []
    until = whole.left_kb / going.per_second
    grown_kb = going.last - going.first
    written = [(_since(scene, one, going, "write_chars") / KIB, one) for one in scene.once(holders)]
    most, writer = max(written, key=lambda pair: pair[0], default=(0.0, None))
    if writer is None or until > HORIZON_S or not WRITTEN[0] * grown_kb <= most <= WRITTEN[1] * grown_kb:
        return []
    return [Growth(writer, "memory", "shmem_kb", levels, going, whole, until)]


def _matters(going: Trend | None) -> TypeGuard[Trend]:
    return going is not None and going.per_second > 0 and going.last - going.first >= LEAST_KB


def _what_grows(rows: Sequence[Row]) -> str | None:
    """The column that tells how a process grows: of its own memory, in memory or swapped out, else of all it has."""
    grown = {metric: _grown(rows, metric) for metric in ("anon_kb", "swap_kb", "rss_kb")}
    own = max(("anon_kb", "swap_kb"), key=lambda one: grown[one])
    metric = own if grown[own] >= grown["rss_kb"] / 2 else "rss_kb"
    return metric if grown[metric] >= LEAST_KB else None


def _grown(rows: Sequence[Row], metric: str) -> float:
    levels = [level for level in map(attrgetter(metric), rows) if level is not None]
    return float(levels[-1] - min(levels)) if levels else 0.0


def _is_its_own(scene: Scene, metric: str, going: Trend) -> bool:
    """Whether what grows is memory, and not pages of files that the process has mapped.

    Where only the resident size grows, it is shared memory if that of the machine grows as fast.
    """
    if metric != "rss_kb" or going.rows[-1]["anon_kb"] is None:
        return True
    shared = [row for row in scene.rows("memory") if row["timestamp"] >= going.onset_ns and row["shmem_kb"] is not None]
    return bool(shared) and shared[-1]["shmem_kb"] - shared[0]["shmem_kb"] >= 0.5 * (going.last - going.first)


def _leak(scene: Scene, growth: Growth) -> Candidate:
    holder, going, until = growth.holder, growth.trend, growth.until_s
    culprit = holder.entity
    candidate = Candidate("memory_leak", culprit, going.onset_ns, (culprit,))
    per_second = f"{going.per_second / KIB:.1f} MiB"
    candidate.check(f"{culprit.name} grows by {per_second} a second, steadily", True, 1.5, 0.0)
    bold, fair, safe = (until <= times * going.seconds for times in FORESIGHT)
    candidate.check("it meets its limit within two hours", until <= HORIZON_S, 1.5, 4.0)
    candidate.check("it has been seen to grow for long enough to foresee that", bold, 0.5, 4.0)
    candidate.check("it has been seen to grow for a good part of the way", fair, 1.0, 0.5)
    candidate.check("the limit is near", safe, 2.0, 0.0)
    candidate.check("it keeps more than it reads: it is not loading data", _reads_less(scene, growth), 0.5, 6.0)
    candidate.check("it does not grow because it computes", _rests(scene, growth), 1.0, 5.0)
    candidate.check("it has not given memory back before", _keeps(growth), 0.5, 5.0)
    candidate.check("it is more than what it had reserved beforehand", not _is_bounded(scene, growth), 0.0, 8.0)
    candidate.check("its threads and descriptors do not grow along", not _serves_more(growth), 0.3, 1.5)
    candidate.check("there is room as yet, and nobody suffers for want of it", _has_room(scene, growth), 0.0, 8.0)
    seconds = f"{going.seconds:.0f} s"
    what = f"{culprit.name} ({culprit.id})" if growth.kind == "process" else "what is in files in memory"
    candidate.step(
        f"{what} grew from {going.first / KIB:,.0f} to {going.last / KIB:,.0f} MiB in {seconds}",
        scene.evidence(growth.kind, going.rows, growth.metric, "last"),
        scene.evidence(growth.kind, going.rows, growth.metric, "slope"),
    )
    since = [row for row in holder.samples if row["timestamp"] >= going.onset_ns]
    if growth.kind == "memory":
        claim = f"meanwhile {culprit.name} ({culprit.id}) wrote as much"
        candidate.step(claim, scene.evidence("process", since, "write_chars", "increase"))
    rows = [row for row in growth.domain.rows if row["timestamp"] >= going.onset_ns] or growth.domain.rows[-1:]
    whose = growth.domain.entity.name if growth.domain.is_group else "the machine"
    claim = f"of {growth.domain.limit_kb / KIB:,.0f} MiB of {whose} {growth.domain.left_kb / KIB:,.0f} MiB are left"
    candidate.step(claim, growth.domain.shown_used(scene, rows, "last"))
    candidate.refuted_by = f"{culprit.name} stops growing by itself, or gives memory back"
    candidate.outlook = f"the memory of {whose} is used up in {until:,.0f} s, and the kernel kills somebody"
    candidate.actions = (
        Proposal("restart", culprit, f"restart {culprit.name}, to gain time"),
        Proposal("limit_memory", culprit, f"limit the memory of {culprit.name}, so that nobody else is killed for it"),
    )
    return candidate


def _since(scene: Scene, holder: Holder, going: Trend, *metrics: str) -> float:
    """How much counters of a process grew while the level did."""
    changes = [one for one in holder.deltas(scene) if one.before["timestamp"] >= going.onset_ns]
    return sum(change.of(metric) for change in changes for metric in metrics)


def _reads_less(scene: Scene, growth: Growth) -> bool:
    grown_kb = growth.trend.last - growth.trend.first
    return _since(scene, growth.holder, growth.trend, "read_chars") / KIB < grown_kb / 2


def _rests(scene: Scene, growth: Growth) -> bool:
    ran_s = _since(scene, growth.holder, growth.trend, "utime_ms", "stime_ms") / 1e3
    ready_s = _since(scene, growth.holder, growth.trend, "cpu_delay_ns") / NS_PER_S
    return ran_s + ready_s < RESTS_SHARE * growth.trend.seconds


def _is_bounded(scene: Scene, growth: Growth) -> bool:
    """Whether it fills what was set aside for it, and that ends before the memory does.

    A heap, a cache or shared buffers are mapped when a program starts and filled as it is used; a file system in
    memory has a size. Who leaks maps more and more.
    """
    room = _room_in_tmpfs_kb(scene, growth) if growth.kind == "memory" else _reserved_kb(growth)
    return room is not None and room < growth.domain.left_kb


def _reserved_kb(growth: Growth) -> float | None:
    """What is not yet in memory of what a process had mapped when it began to grow; None where it maps more."""
    since = [row for row in growth.holder.samples if row["timestamp"] >= growth.trend.onset_ns]
    mapped = [float(row["vsize_kb"]) for row in since if row["vsize_kb"] is not None]
    if not mapped or mapped[-1] - mapped[0] >= MAPPED * (growth.trend.last - growth.trend.first):
        return None
    return max(0.0, mapped[-1] - float(since[-1]["rss_kb"] or 0) - float(since[-1]["swap_kb"] or 0))


def _room_in_tmpfs_kb(scene: Scene, growth: Growth) -> float | None:
    """What is left of the file system in memory that grows as fast; None where there is none, or it has no size."""
    grown_kb = growth.trend.last - growth.trend.first
    for rows in scene.series("filesystem").values():
        since = [row for row in rows if row["timestamp"] >= growth.trend.onset_ns and row["avail_bytes"] is not None]
        if rows[-1]["fs_type"] == "tmpfs" and since:
            lost_kb = (since[0]["avail_bytes"] - since[-1]["avail_bytes"]) / KIB
            if WRITTEN[0] * grown_kb <= lost_kb <= WRITTEN[1] * grown_kb:
                return float(since[-1]["avail_bytes"]) / KIB
    return None


def _keeps(growth: Growth) -> bool:
    """Whether the level never fell by much within the window, before it began to grow."""
    highest = given_back = 0.0
    for row in growth.levels:
        level = float(row[growth.metric] or 0)
        highest = max(highest, level)
        given_back = max(given_back, highest - level)
    return given_back < GIVEN_BACK * (growth.trend.last - growth.trend.first)


def _has_room(scene: Scene, growth: Growth) -> bool:
    """Whether it is still to come: else it is pressure, or somebody was killed, and told as that."""
    domain, now = growth.domain, scene.second(growth.trend.rows[-1])
    run = Run(scene.second(growth.trend.rows[0]), now)
    tight = any(one.last >= now - ALIVE_S for one in short(scene, domain))
    return not (tight and domain.most_used(scene, run) >= FULL_SHARE) and not killed_in(scene, domain, run)


def _serves_more(growth: Growth) -> bool:
    """Whether it has twice as much to do as when the growth began: its memory follows its load."""
    first, *_, last = growth.holder.samples
    return any(
        last[metric] is not None and (first[metric] or 0) > 0 and last[metric] >= 2 * first[metric] + 8
        for metric in ("threads", "fds")
    )
