"""Standing in line: for a lock of a program's own, for one of the kernel, for a file that somebody has locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.contention import is_burst
from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.cpu_time import shown as used
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.lines import Stretch, lines, stretches
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.peers import Peers, peers
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.queues import asks_for_its_turn, in_line_for_a_job
from kernelsight.diagnosis.refusals import Refusals, refusals
from kernelsight.diagnosis.scene import Row, Run, Scene, grouped, runs
from kernelsight.diagnosis.waiting import shown

HANDED_ON = 5.0
"""Times a second that a lock must change hands: threads that wait for each other less often are a pool that idles."""
ALIKE = 0.35
"""Share of the sleeps that the busiest of three or more threads may have, if all do the same.

Who hands out work sleeps for each piece of it, and so do those who do it, together: half of the
sleeps are its. Of n threads that go for one lock, each has an n-th.
"""
PASSED_ON = 0.3
"""Of the wakes, the share that goes from one who waited to the next; some wake who never had to wait."""
NOW_AND_THEN = 0.03
"""The same of a lock that mostly is taken again by who has just let go of it; who hands out work never waits for it."""
BUSY = 0.5
"""Of the time, the share in which somebody must be seen to do something with the lock."""
NEVER_FREE = 0.8
"""Of the time, the share in which a lock is held that others stand in line for; the rest is for changing hands.

A pool whose members wake each other for the next piece of work hands on too, but has nothing to do now and then.
"""
IDLE = 0.3
"""Threads that wait for time or for work from outside, from which on the others may be waiting for what these bring."""
AT_ONCE = 0.5
"""Of the threads that want to go on, the share that may run: if more do, the lock holds up few."""
SAMPLED = 0.5
"""Of the seconds, the share in which somebody waits for a file."""
ASKED = 0.8
"""Of the time that servers wait for each other, the share in which their clients wait for them; the rest is for the
accuracy of where waits begin. Without a client that waits, they may have nothing to do."""

NO_QUEUE = "they have more to do than to wait for their turn, as jobs in a queue do"


@hypothesis("lock_contention")
def many_want_one_lock(scene: Scene) -> Iterable[Candidate]:
    """Threads or servers stand in line for a lock that their own kind hands on, or processes for a locked file."""
    for line in scene.once(lines):
        for stretch in stretches(scene, line):
            yield _of_a_program(scene, stretch)
    for servers in scene.once(peers):
        yield _of_servers(scene, servers)
    yield from _of_files(scene)
    for refused in refusals(scene):
        yield _of_refusals(scene, refused)


def _of_a_program(scene: Scene, stretch: Stretch) -> Candidate:
    line, run = stretch.line, stretch.run
    culprit = named(scene, stretch.culprit)
    several = len(line.pids) > 1
    candidate = Candidate("lock_contention", culprit, scene.at(run.first))
    candidate.victims = tuple(named(scene, pid) for pid in sorted(line.pids)[:5])
    candidate.suffering_s = stretch.waiting * run.seconds
    of_time = stretch.timed_out > stretch.handed_on
    passed = (stretch.passed_on or 0.0) >= PASSED_ON
    now_and_then = (stretch.passed_on or 0.0) >= NOW_AND_THEN
    candidate.check("its own threads let each other go on, all the time", stretch.handed_on >= HANDED_ON, 1.5, 4.0)
    if stretch.passed_on is not None:
        # Some runtimes park each thread on a word of its own: it is a lock, though nobody waits for the same.
        candidate.check("who lets another one go on had waited for the same", passed, 2.5, 1.0)
        candidate.check("some of them had, at least", now_and_then, 0.0 if passed else 1.5, 0.0)
        if not passed:
            idle = stretch.timed + stretch.asked
            candidate.check("no thread of it waits for time or for work from outside", idle < IDLE, 0.0, 4.0)
        if not now_and_then:
            held = stretch.ran + stretch.blocked + stretch.timed
            candidate.check("somebody has it all the time, as others stand in line", held >= NEVER_FREE, 0.0, 5.0)
    if stretch.busiest is not None:
        alike = "its threads do the same, none gives work to the others"
        candidate.check(alike, stretch.busiest <= ALIKE, 2.0, 1.5 if now_and_then else 4.0)
    doing = stretch.ran + stretch.queued + stretch.blocked + (0.0 if of_time else stretch.timed)
    candidate.check("somebody has the lock and does something with it", doing >= BUSY, 1.0, 7.0)
    wanting = stretch.waiting + stretch.ran
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.check("few go on at a time, and the others wait", stretch.ran <= AT_ONCE * wanting, 1.0, 7.0)
    who = f"{len(line.pids)} processes {culprit.name}" if several else f"threads of {culprit.name} ({culprit.id})"
    of = "the kernel" if line.in_kernel else "their own"
    candidate.step(
        f"{who} waited {candidate.suffering_s:.0f} s in {run.seconds} s for a lock of {of}",
        shown(scene, line.edges, run),
        shown(scene, line.edges, run, "runqueue_ns"),
    )
    candidate.step(
        f"each other's turn ended these waits, {stretch.handed_on:.0f} times a second",
        shown(scene, line.handed_on, run, "count"),
    )
    pids = line.pids
    uses = [use for use in scene.once(cpu_use) if use.pid in pids]
    candidate.step(
        f"meanwhile they used {100 * stretch.ran:.0f} % of a CPU, and {stretch.waiting:.1f} more waited to go on",
        *(used(scene, use, run, "ran") for use in sorted(uses, key=lambda use: -use.ran_in(run))[:5]),
    )
    candidate.refuted_by = "with fewer threads it gets less done"
    candidate.outlook = "more threads, or more CPUs, make it no faster"
    candidate.actions = (
        Proposal("look", culprit, f"see what {culprit.name} does while it has the lock, or let it run fewer threads"),
    )
    return candidate


def _of_servers(scene: Scene, servers: Peers) -> Candidate:
    run = servers.run
    culprit = named(scene, servers.culprit)
    clients = sorted(servers.asking, key=lambda edge: -edge.waited_in(run))
    candidate = Candidate("lock_contention", culprit, scene.at(run.first))
    suffering = [*dict.fromkeys(edge.pid for edge in clients), *sorted(servers.pids)]
    candidate.victims = tuple(named(scene, pid) for pid in suffering[:5])
    candidate.suffering_s = servers.waiting * run.seconds
    uses = [use for use in scene.once(cpu_use) if use.pid in servers.pids]
    ran = sum(use.ran_in(run) for use in uses) / run.seconds
    candidate.check("while they wait for each other, clients wait for them", servers.explained >= ASKED, 3.0, 6.0)
    candidate.check("few go on at a time, and the others wait", ran <= AT_ONCE * (servers.waiting + ran), 1.0, 7.0)
    candidate.check("several wait", len(servers.pids) > 1, 1.0, 1.0)
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.step(
        f"clients such as {clients[0].comm} ({clients[0].pid}) waited for {culprit.name}" if clients else "",
        shown(scene, clients, run),
    )
    candidate.step(
        f"{len(servers.pids)} processes {culprit.name} waited {candidate.suffering_s:.0f} s in {run.seconds} s for "
        "each other",
        shown(scene, servers.edges, run),
        shown(scene, servers.edges, run, "count"),
    )
    ended = [edge for edge in servers.edges if str(edge.waker_pid) == culprit.id]
    candidate.step(f"{culprit.name} ({culprit.id}) ended most of these waits", shown(scene, ended, run))
    client = max(servers.asked_by(servers.culprit), key=lambda edge: edge.waited_in(run), default=None)
    if client is not None and client.waited_in(run) >= IDLE * run.seconds:
        whom = named(scene, client.waker_pid or 0)
        claim = f"it waited {client.waited_in(run):.1f} s itself for its client {whom.name} ({whom.id}) to go on"
        candidate.step(claim, shown(scene, [client], run))
    candidate.refuted_by = "they wait as long when each works on data of its own"
    candidate.outlook = "more clients, or more CPUs, make it no faster"
    candidate.actions = (
        Proposal("look", culprit, f"see which lock {culprit.name} has, and let it be kept for less time"),
    )
    return candidate


def _of_refusals(scene: Scene, refused: Refusals) -> Candidate:
    run = refused.run
    by_process = Counter(dict.fromkeys(refused.pids, 0))
    for row in refused.rows:
        by_process[row["pid"]] += row["count"] or 0
    # Who has it most is refused it least.
    culprit = named(scene, min(by_process, key=lambda pid: (by_process[pid], pid)))
    candidate = Candidate("lock_contention", culprit, scene.at(run.first))
    candidate.victims = tuple(named(scene, pid) for pid, _ in by_process.most_common(5))
    candidate.suffering_s = refused.waiting * run.seconds
    seconds = len({scene.second(row) for row in refused.rows})
    uses = [use for use in scene.once(cpu_use) if use.pid in refused.pids]
    ran = sum(use.ran_in(run) for use in uses) / run.seconds
    candidate.check("somebody is refused the lock most of the time", seconds >= SAMPLED * run.seconds, 2.5, 4.0)
    candidate.check("few go on at a time, and the others wait", ran <= AT_ONCE * (refused.waiting + ran), 1.0, 7.0)
    polite = all(asks_for_its_turn(scene, pid, of, run) for (pid,), of in grouped(refused.rows, "pid").items())
    candidate.check(NO_QUEUE, not polite, 0.0, 12.0)
    candidate.check("several of one program are kept out, so they keep each other out", len(by_process) > 1, 1.0, 4.0)
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.step(
        f"{len(by_process)} processes {culprit.name} were refused the lock of a file {refused.counted} times",
        scene.evidence("syscall_error", refused.rows, "count", "sum"),
    )
    candidate.step(
        f"they slept before they tried again, {refused.waiting:.1f} of them on average",
        shown(scene, refused.sleeps, run),
        shown(scene, refused.sleeps, run, "count"),
    )
    candidate.refuted_by = "with fewer of these processes it gets less done"
    candidate.outlook = "more processes make it no faster"
    candidate.actions = (
        Proposal("look", culprit, f"see what {culprit.name} does while it has the file locked, or run fewer of it"),
    )
    return candidate


def _of_files(scene: Scene) -> Iterator[Candidate]:
    for (device, inode), rows in grouped(scene.rows("file_lock_wait"), "device_name", "inode").items():
        known = [row for row in rows if row["holder_pid"] is not None and row["holder_comm"]]
        by_second = scene.per_second(known, lambda _: 1.0)
        for run in runs(by_second, lambda waiters: waiters >= 1, gap=2):
            within = scene.within(known, run)
            queue = in_line_for_a_job(scene, within, run)
            rest = [row for row in within if row["pid"] not in queue]
            candidate = _of_a_file(scene, f"{device}:{inode}", rest or within, run)
            candidate.check(NO_QUEUE, bool(rest), 0.0, 12.0)
            yield candidate


def _of_a_file(scene: Scene, file: str, rows: Sequence[Row], run: Run) -> Candidate:
    holders, waiters = (Counter(row[column] for row in rows) for column in ("holder_pid", "pid"))
    holder, held = max(holders.items(), key=lambda one: (one[1], -one[0]))
    culprit = _holder(scene, holder, rows)
    waiting = len(rows) / run.seconds
    seconds = len({scene.second(row) for row in rows})
    candidate = Candidate("lock_contention", culprit, scene.at(run.first))
    candidate.victims = tuple(named(scene, pid) for pid, _ in waiters.most_common(5) if pid is not None)
    candidate.suffering_s = float(len(rows))
    candidate.check("it goes on, or was more than a burst", not is_burst(scene, run), 0.0, 8.0)
    candidate.check("somebody waits for the file most of the time", seconds >= SAMPLED * run.seconds, 2.5, 4.0)
    candidate.check("there is a line and not only one that waits", waiting >= 1.5, 1.0, 0.5)
    alone = held >= 0.5 * len(rows)
    candidate.check(
        "one process keeps it locked most of the time, or all are of one program", alone or _alike(rows), 1.0, 1.5
    )
    candidate.step(
        f"{waiting:.1f} processes on average waited to lock file {file}, in {seconds} of {run.seconds} samples",
        scene.evidence("file_lock_wait", rows, "inode", "count"),
    )
    of_holder = [row for row in rows if row["holder_pid"] == holder]
    candidate.step(
        f"{culprit.name} ({culprit.id}) had it locked in {held} of {len(rows)} cases",
        scene.evidence("file_lock_wait", of_holder, "inode", "count"),
    )
    candidate.refuted_by = f"they wait as long when {culprit.name} lets go of the file"
    candidate.outlook = "they wait for as long as it keeps the file locked"
    candidate.actions = (Proposal("look", culprit, f"see why {culprit.name} keeps the file locked, or end it"),)
    return candidate


def _holder(scene: Scene, pid: int, rows: Sequence[Row]) -> Entity:
    known = named(scene, pid)
    comm = next((row["holder_comm"] for row in rows if row["holder_pid"] == pid), None)
    return Entity("process", str(pid), comm) if known.name == "?" and comm else known


def _alike(rows: Iterable[Row]) -> bool:
    return len({row["holder_comm"] for row in rows}) == 1
