"""Waiting for disks: because much is asked of them, because they are slow, or because of others' dirty pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kernelsight.diagnosis import devices as of_devices
from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.commits import Stall, lying_dirty, stalls
from kernelsight.diagnosis.devices import Device, Load, devices
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.io_limits import held_back
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import Run, Scene, runs
from kernelsight.diagnosis.seconds import telling
from kernelsight.diagnosis.storage import User, Waiter, shown_waits, users, waiters_by_program, waiting_for
from kernelsight.quantities import quantity

BUSY_SHARE = 0.8
"""Of the time, the share in which a device must have something to do to be called busy."""
SLOW_S = 0.02
"""What no disk needs for one request at a time: half a turn at 5400/min takes 5.6 ms, a seek about 12 ms."""
SLOWEST_BYTES_PER_S = 50e6
"""A rate that every disk reaches for long requests, which may take their time."""
SLOWER = 5.0
"""How many times its usual latency a device must take, at no higher load, to be called slow."""
LEAST_SLOW_S = 0.005
"""A request that takes no longer hurts nobody much, whatever is usual."""
MORE_LOAD = 1.5
"""How many times the usual load explains a longer latency by itself."""
RIVALS = 1.5
"""Tasks of one program that wait for a device at a time, on average, from which on they wait for each other.

A program that reads or writes in sequence waits with one task at most.
"""
DEEP_QUEUE = 8.0
"""Reads under way, on average, from which on whoever asks for them wants more than the device gives.

Reading ahead for one file at a time has two or three requests under way.
"""
FEW = DEEP_QUEUE / 2
"""Requests under way, on average, up to which nobody's request waits long for the others."""
OVER = 1.3
"""How many times what a device reads a program may seem to read from it: the samples are not of one moment."""
SLACK_BYTES = 1 << 20
STALLED_SHARE = 0.3
"""PSI's share of time in which tasks stall on I/O, that is suffering even if nobody can be named."""


@hypothesis("disk_saturation")
def asked_for_too_much(scene: Scene) -> Iterable[Candidate]:
    """A device is busy all the time, requests queue, and others wait for what one program reads or writes."""
    for device in scene.once(devices).values():
        busy = {second: load.busy_share if load.requests else 0.0 for second, load in device.loads.items()}
        for run in telling(runs(busy, lambda share: share >= BUSY_SHARE)):
            load = device.load(run)
            user, share = _main_user(scene, device, run)
            culprit = user.largest(scene, run) if user else device.entity
            victims = [one for one in waiting_for(scene, device, run) if user is None or one.program != user.program]
            candidate = Candidate("disk_saturation", culprit, scene.at(run.first), _entities(victims))
            candidate.suffering_s = sum(victim.waited_in(run) for victim in victims)
            stalled = not scene.rows("wait") and _stalled(scene, run)
            candidate.check(
                f"{device.name} is busy {100 * load.busy_share:.0f} % of the time",
                holds=True,
                speaks_for=1.5,
                speaks_against=4.0,
            )
            candidate.check("others wait for it", bool(victims) or stalled, 2.0, 1.0)
            candidate.check("more is asked for than one at a time", _wants_more(scene, user, device, run), 1.5, 2.5)
            candidate.check(f"one program does most of what {device.name} does", share >= 0.5, 1.0, 1.5)
            slow = any(run.overlaps(when) for when in scene.once(_slow)[device.name])
            candidate.check("a request takes as long as it may on such a device", not slow, 0.5, 4.0)
            by_its_pages = any(stall.by is user and stall.run.overlaps(run) for stall in scene.once(stalls))
            candidate.check("what hurts is not commits that wait for its dirty pages", not by_its_pages, 0.5, 3.0)
            _say_waits(scene, candidate, victims, device, run)
            candidate.step(
                f"{device.name} was busy {100 * load.busy_share:.0f} % of {run.seconds} s,"
                f" with {load.queue:.1f} requests under way",
                of_devices.shown(scene, device, run, "io_ticks"),
                of_devices.shown(scene, device, run, "time_in_queue"),
            )
            if user:
                _say_use(scene, candidate, user, run)
            candidate.refuted_by = f"the others still wait as long when {culprit.name} does not run"
            candidate.outlook = f"whoever needs {device.name} is slow while this goes on"
            candidate.actions = (
                Proposal("ionice", culprit, f"give {culprit.name} the idle class of I/O, so that it yields"),
                Proposal("limit_io", culprit, f"limit what the control group of {culprit.name} may ask for (io.max)"),
            )
            yield candidate


@hypothesis("disk_latency")
def takes_long_at_low_load(scene: Scene) -> Iterable[Candidate]:
    """A device takes long for each request though little is asked of it, or a control group is at its limit for I/O."""
    slow = [(device, run) for device in scene.once(devices).values() for run in scene.once(_slow)[device.name]]
    for device, run in slow:
        load, before = device.load(run), device.load_before(run)
        victims = waiting_for(scene, device, run)
        candidate = Candidate("disk_latency", device.entity, scene.at(run.first), _entities(victims))
        candidate.suffering_s = sum(victim.waited_in(run) for victim in victims)
        stalled = not scene.rows("wait") and _stalled(scene, run)
        candidate.check(
            "a request takes long, and not because of many others", holds=True, speaks_for=2.0, speaks_against=4.0
        )
        candidate.check("few are under way", load.queue <= FEW, 0.5, 1.5)
        candidate.check("somebody waits for it", bool(victims) or stalled, 2.0, 3.0)
        below = [other for other, when in slow if not other.is_stacked and when.overlaps(run)]
        candidate.check("no device below it is slow", not device.is_stacked or not below, 0.5, 2.0)
        _say_waits(scene, candidate, victims, device, run)
        usual = f", {1e3 * before.latency_s:.1f} ms before" if before.requests else ""
        candidate.step(
            f"{device.name} took {1e3 * load.latency_s:.0f} ms for a request{usual}, with {load.queue:.1f} under way"
            f" and {load.requests / load.seconds:.0f} a second",
            of_devices.shown(scene, device, run, "write_ticks"),
            of_devices.shown(scene, device, run, "read_ticks"),
            of_devices.shown(scene, device, run, "time_in_queue"),
        )
        candidate.refuted_by = f"{device.name} is fast when one request at a time is made of it"
        candidate.outlook = "whoever needs it goes on being slow; a disk that fails often begins like this"
        candidate.actions = (
            Proposal("look", device.entity, f"look at {device.name}: its errors, its path, what it is made of"),
        )
        yield candidate
    yield from held_back(scene)


@hypothesis("fsync_stall")
def commits_wait_for_others_data(scene: Scene) -> Iterable[Candidate]:
    """Commits (fsync and its like) take long because of dirty pages that another program writes in bulk."""
    best: dict[tuple[str, int | str | None], Stall] = {}
    for stall in scene.once(stalls):
        known = best.get(stall.by.program)
        if known is None or stall.waiter.commits_in(stall.run) > known.waiter.commits_in(known.run):
            best[stall.by.program] = stall
    for stall in best.values():
        run, by = stall.run, stall.by
        culprit = by.largest(scene, run)
        victims = [one.waiter for one in scene.once(stalls) if one.by is by and one.run.overlaps(run)]
        candidate = Candidate("fsync_stall", culprit, scene.at(run.first), _entities(victims))
        candidate.suffering_s = sum(victim.commits_in(run) for victim in victims)
        before = stall.waiter.commit_s(Run(0, run.first - 2))
        written = by.written_in(run)
        everything = sum(one.written_in(run) for one in scene.once(users))
        candidate.check("commits take long", holds=True, speaks_for=1.5, speaks_against=4.0)
        candidate.check("another program writes much more", holds=True, speaks_for=1.5, speaks_against=4.0)
        candidate.check("it writes most of all that is written", written >= 0.5 * everything, 1.0, 2.0)
        candidate.check("what it writes lies in the page cache", stall.dirty is not None, 1.0, 2.5)
        slow = any(when.overlaps(run) for runs_of in scene.once(_slow).values() for when in runs_of)
        candidate.check("no device is slow by itself", not slow, 0.5, 3.0)
        for victim in victims[:3]:
            who = f"{victim.comm} ({victim.pid}) waited {victim.commits_in(run):.1f} s of {run.seconds} s"
            usual = f", {1e3 * before:.0f} ms before" if before and victim is stall.waiter else ""
            claim = f"{who} for its commits, {1e3 * victim.commit_s(run):.0f} ms each time{usual}"
            candidate.step(claim, shown_waits(scene, victim, run, commits=True))
        candidate.step("dirty pages of files waited to be written", stall.dirty)
        candidate.step(
            f"{culprit.name} wrote {quantity(written / run.seconds, 'B/s')}", *by.shown(scene, run, "write_bytes")
        )
        candidate.refuted_by = f"the commits take as long when {culprit.name} does not write"
        candidate.outlook = "commits take long while it writes"
        candidate.actions = (
            Proposal("limit_io", culprit, f"limit what the control group of {culprit.name} may write (io.max)"),
            Proposal("sysctl", culprit, "lower vm.dirty_background_bytes, so that less is written at a time"),
        )
        yield candidate


def _main_user(scene: Scene, device: Device, run: Run) -> tuple[User | None, float]:
    """The program that asks most of a device, and its share of what the device does: of the bytes and of the requests.

    Who moves much more than the device does moves it elsewhere; but what is written may wait in the page cache.
    """
    load = device.load(run)
    best, most = None, 0.0
    for user in scene.once(users):
        read, written = user.read_in(run), user.written_in(run)
        if read > OVER * load.read_bytes + SLACK_BYTES or (read < written and not load.write_bytes):
            continue
        moved = min(read, load.read_bytes) + min(written, load.write_bytes)
        waits = sum(one.counted.within(run) for one in _of_program(scene, user))
        share = (moved / max(load.bytes, 1.0) + min(1.0, waits / max(load.requests, 1.0))) / 2
        if share > most:
            best, most = user, share
    moved = best.read_in(run) + best.written_in(run) if best else 0.0
    return best, max(most, min(1.0, moved / max(load.bytes, 1.0)))


def _of_program(scene: Scene, user: User | None) -> Sequence[Waiter]:
    return scene.once(waiters_by_program).get(user.program, ()) if user else ()


def _wants_more(scene: Scene, user: User | None, device: Device, run: Run) -> bool:
    """Whether more is asked of a device at a time than one task that reads or writes in sequence asks."""
    load = device.load(run)
    if sum(one.waited_in(run) for one in _of_program(scene, user)) >= RIVALS * run.seconds:
        return True
    in_background = user is not None and load.write_bytes > load.read_bytes and lying_dirty(scene, user, run)
    return load.queue >= DEEP_QUEUE and not in_background


def _slow(scene: Scene) -> Mapping[str, Sequence[Run]]:
    """By device, the stretches in which requests take long and not because of how many there are."""
    return {device.name: _slow_runs(device) for device in scene.once(devices).values()}


def _slow_runs(device: Device) -> list[Run]:
    usual: dict[int, Load | None] = {}
    slow: dict[int, float] = {}
    for second, load in device.loads.items():
        size = _size(load)
        if size not in usual:
            usual[size] = _usual(other for other in device.loads.values() if abs(_size(other) - size) <= 1)
        slow[second] = float(_is_slow(load, usual[size]))
    return telling([run for run in runs(slow, bool) if device.load(run).requests])


def _is_slow(load: Load, usual: Load | None) -> bool:
    """Whether a request takes long by itself: longer than any disk needs, or than this one does at such a load."""
    if not load.requests:
        return load.in_flight > 0
    transfer = load.request_bytes / SLOWEST_BYTES_PER_S
    if load.service_s - transfer >= SLOW_S:
        return True
    if usual is None or load.latency_s - transfer < max(LEAST_SLOW_S, SLOWER * usual.latency_s):
        return False
    more = load.requests * usual.seconds > MORE_LOAD * usual.requests * load.seconds
    larger = load.bytes * usual.seconds > MORE_LOAD * usual.bytes * load.seconds
    return not (more or larger)


def _size(load: Load) -> int:
    """The power of two that requests are as large as: what is usual for one in sequence says nothing of small ones."""
    return int(load.request_bytes).bit_length()


def _usual(loads: Iterable[Load]) -> Load | None:
    """What a device does when it answers well: the quarter of the seconds in which requests took least."""
    known = sorted((load for load in loads if load.requests >= 2), key=lambda load: load.latency_s)
    quarter = known[: len(known) // 4]
    if len(quarter) < 2:
        return None
    found = Load()
    for load in quarter:
        found.add(load)
    return found


def _stalled(scene: Scene, run: Run) -> bool:
    """Whether tasks stall on I/O by the kernel's own account."""
    changes = scene.changes("pressure").get(("io", "system"), ())
    within = scene.during(changes, run)
    stalled = sum(change.of("some_total_us") for change in within) / 1e6
    return stalled >= STALLED_SHARE * run.seconds


def _say_waits(scene: Scene, candidate: Candidate, victims: Sequence[Waiter], device: Device, run: Run) -> None:
    for victim in victims[:3]:
        times = f", {1e3 * victim.mean_s(run):.1f} ms each time" if victim.mean_s(run) else ""
        claim = f"{victim.comm} ({victim.pid}) waited {victim.waited_in(run):.1f} s of {run.seconds} s for storage"
        candidate.step(f"{claim}{times}", shown_waits(scene, victim, run))
    if not victims:
        rows = [
            row
            for row in scene.within(scene.rows("pressure"), run)
            if (row["resource"], row["scope"]) == ("io", "system")
        ]
        stalled = scene.evidence("pressure", rows, "some_total_us", "increase")
        if stalled is not None and stalled.value > 0:
            candidate.step(f"tasks stalled on I/O while {device.name} was busy", stalled)


def _say_use(scene: Scene, candidate: Candidate, user: User, run: Run) -> None:
    read, written = user.read_in(run), user.written_in(run)
    what, amount, metric = ("read", read, "read_bytes") if read >= written else ("wrote", written, "write_bytes")
    processes = f" in {len(user.members)} processes" if len(user.members) > 1 else ""
    claim = f"meanwhile {user.comm}{processes} {what} {quantity(amount / run.seconds, 'B/s')}"
    candidate.step(claim, *user.shown(scene, run, metric))


def _entities(victims: Sequence[Waiter]) -> tuple[Entity, ...]:
    return tuple(victim.entity for victim in victims[:5])
