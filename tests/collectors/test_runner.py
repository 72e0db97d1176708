"""The grid, isolation of collectors from each other, and what they report of themselves."""

from __future__ import annotations

import os
import random
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from grid import BOOT, EPOCH, HandClock, Loads, S, run_to_file

from kernelsight.collectors import base
from kernelsight.collectors.base import Host, collector, list_collectors
from kernelsight.collectors.damage import note
from kernelsight.errors import KernelSightError, SourceUnavailableError, UsageError
from kernelsight.events.clock import ClockStep
from kernelsight.events.scheduler import Load
from kernelsight.events.tcp import Tcp


@pytest.fixture
def register(monkeypatch):
    """Register collectors of the test's own, without leaving them to the next."""
    base.registered()
    monkeypatch.setattr(base._SOURCES, "_declared", {})
    monkeypatch.setattr(base._SOURCES, "_all", None)

    def add(name, factory, emits=(Load,), **more):
        factory.__doc__ = factory.__doc__ or "For a test."
        several = emits if len(emits) > 1 else (*emits, ClockStep)  # of one kind alone it would have its name
        collector(name=name, source="test", emits=several, **more)(factory)

    return add


def test_samples_stand_on_the_grid_however_long_runs_and_wake_ups_take(register, tmp_path):
    clock = HandClock()
    some = random.Random(1)

    def work(_):
        clock.now += some.randrange(300_000_000)

    clock.overslept = iter(lambda: some.randrange(90_000_000), None)
    register("a", lambda host: Loads(work))
    ran = run_to_file(tmp_path, ["a"], duration_s=1000, clock=clock)
    assert ran.stamps == [EPOCH + n * S for n in range(1000)]
    assert ran.last_report("a").missed == 0


def test_no_second_is_sampled_twice_at_short_intervals(register, tmp_path):
    clock = HandClock()
    register("a", lambda host: Loads())
    ran = run_to_file(tmp_path, ["a"], duration_s=1, interval_s=0.03, clock=clock)
    assert ran.stamps == [EPOCH + n * 30_000_000 for n in range(34)]


def test_grid_points_that_pass_during_a_long_run_are_skipped_and_counted(register, tmp_path):
    clock = HandClock()
    took = {EPOCH + 2 * S: 3_700_000_000, EPOCH + 8 * S: 1_200_000_000}

    def work(now):
        clock.now += took.get(now, 0)

    register("a", lambda host: Loads(work))
    ran = run_to_file(tmp_path, ["a"], duration_s=12, clock=clock)
    # After 5.7 s the point at 5 is too long ago and 6 is next; after 9.2 s the point at 9 still counts.
    assert [(stamp - EPOCH) // S for stamp in ran.stamps] == [0, 1, 2, 6, 7, 8, 9, 10, 11]
    assert ran.last_report("a").missed == 3
    assert ran.last_report("a").runs == 9


def test_stamps_follow_a_clock_that_is_set_and_a_suspend(register, tmp_path):
    clock = HandClock()

    def work(now):
        if now == EPOCH + 3 * S:
            clock.asleep += 3600 * S  # an hour, which CLOCK_MONOTONIC does not count
        if now == EPOCH + 3606 * S:
            clock.offset -= 7200 * S  # set back

    register("a", lambda host: Loads(work))
    ran = run_to_file(tmp_path, ["a"], duration_s=10, clock=clock)
    stamps = [event.timestamp for event in ran.samples if isinstance(event, Load)]
    assert [(stamp - EPOCH) // S for stamp in stamps] == [0, 1, 2, 3, 3604, 3605, 3606, -3593, -3592, -3591]
    jumps = [event for event in ran.samples if isinstance(event, ClockStep)]
    assert [(jump.step_ns // S, jump.suspended_ns // S) for jump in jumps] == [(0, 3600), (-7200, 0)]
    assert [(jump.timestamp - EPOCH) // S for jump in jumps] == [3604, -3593]
    assert [(jump.before_ns - EPOCH) // S for jump in jumps] == [3604, 3607]
    assert [(jump.monotonic_ns - BOOT) // S for jump in jumps] == [4, 7]
    for jump in jumps:  # said before anything is stamped with the new time
        assert ran.samples[ran.samples.index(jump) + 1].timestamp == jump.timestamp


def test_a_clock_that_is_slewed_was_not_set(register, tmp_path):
    clock = HandClock()

    def work(now):
        clock.offset += 500_000  # the most that NTP slews in a second
        clock.now += 1500 * S * (now >= EPOCH + 3 * S)  # nobody measured for as long, as when a reader sleeps
        clock.offset += 750_000_000 * (now >= EPOCH + 3 * S)

    register("a", lambda host: Loads(work))
    ran = run_to_file(tmp_path, ["a"], duration_s=4000, clock=clock)
    assert {type(event) for event in ran.samples} == {Load}


@pytest.mark.parametrize("step_ns", [-3600 * S, 3600 * S])
def test_what_is_due_again_is_due_after_the_same_time_when_the_clock_was_set(register, tmp_path, step_ns):
    clock = HandClock()
    looked = []

    class Every10Seconds(Loads):
        def __init__(self, host):
            super().__init__()
            self.due, self.monotonic_ns = 0, host.monotonic_ns

        def collect(self, now):
            moment = self.monotonic_ns()
            if len(looked) == 2:
                clock.offset += step_ns
                looked.append(None)
            if moment >= self.due:
                self.due = moment + 10 * S
                looked.append(moment)
            clock.now += 1_000_000  # later than the grid point says by the time that others take
            return []

    register("a", Every10Seconds)
    run_to_file(tmp_path, ["a"], duration_s=60, clock=clock)
    assert [(moment - BOOT) // S for moment in looked if moment] == [0, 10, 20, 30, 40, 50]


def test_a_collector_that_fails_is_reopened_later_and_later_and_the_others_go_on(register, tmp_path):
    clock = HandClock()
    opened = []

    def broken(host):
        opened.append(clock.now)
        return Loads(lambda _: 1 // 0)

    register("bad", broken)
    register("good", lambda host: Loads())
    ran = run_to_file(tmp_path, ["bad", "good"], duration_s=300, clock=clock)
    assert len(ran.samples) == 300
    gaps = [(b - a) // S for a, b in pairwise(opened)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(ran.log) == len(opened)
    assert ran.log[0].startswith("collector bad failed: ZeroDivisionError: ")
    assert "test_runner.py:" in ran.log[0]
    report = ran.last_report("bad")
    assert (report.status, report.failures, report.events) == ("failed", len(opened), 0)
    assert "ZeroDivisionError" in report.reason


def test_a_collector_that_recovers_goes_on_with_its_account(register, tmp_path):
    clock = HandClock()
    register("a", lambda host: Loads(lambda now: 1 // (now - EPOCH - 2 * S)))
    ran = run_to_file(tmp_path, ["a"], duration_s=6, clock=clock)
    assert [(stamp - EPOCH) // S for stamp in ran.stamps] == [0, 1, 3, 4, 5]
    report = ran.last_report("a")
    assert (report.status, report.failures, report.runs, report.events) == ("running", 1, 6, 5)
    assert report.reason is None


def test_a_report_names_the_kinds_that_are_fed_and_the_columns_that_stay_empty(register, tmp_path):
    class Half(Loads):
        limitations = ("last_pid: not readable by this user",)

    def missing(host):
        raise SourceUnavailableError("no such file")

    register("half", lambda host: Half(), emits=(Load, Tcp))
    register("missing", missing, emits=(Tcp,))
    ran = run_to_file(tmp_path, ["half", "missing"], duration_s=1, clock=HandClock())
    half, gone = ran.last_report("half"), ran.last_report("missing")
    assert (half.status, half.kinds, half.reason) == ("running", "load,tcp", "last_pid: not readable by this user")
    assert (gone.status, gone.kinds, gone.reason) == ("unavailable", "tcp,clock_step", "no such file")


def test_an_event_that_cannot_be_encoded_is_its_collectors_failure(register, tmp_path):
    class Unprintable(Loads):
        def collect(self, now):
            return [Load(now), Tcp(now, established=object())]

    register("bad", lambda host: Unprintable())
    register("good", lambda host: Loads())
    ran = run_to_file(tmp_path, ["bad", "good"], duration_s=2, clock=HandClock())
    assert len(ran.samples) == 2
    assert ran.last_report("bad").failures == 2


def test_what_cannot_run_is_said_with_its_reason_and_the_others_run(register, tmp_path):
    def locked(host):
        raise SourceUnavailableError("the door is locked: fetch the key")

    register("locked", locked)
    register("open", lambda host: Loads())
    ran = run_to_file(tmp_path, ["locked", "open"], duration_s=2, clock=HandClock())
    assert ran.code == 0
    assert ran.log == ["cannot run: locked: the door is locked: fetch the key"]
    assert len(ran.samples) == 2
    report = ran.last_report("locked")
    assert (report.status, report.reason, report.runs) == ("unavailable", "the door is locked: fetch the key", 0)


def test_what_cannot_run_is_one_line_with_each_reason_once(register, tmp_path):
    def refusing(reason):
        def factory(host):
            raise SourceUnavailableError(reason)

        return factory

    for name in ("a", "b"):
        register(name, refusing(f"cannot load the BPF object {name}: not permitted; run as root"))
    register("c", refusing("no such file"))
    register("open", lambda host: Loads())
    ran = run_to_file(tmp_path, ["a", "b", "c", "open"], duration_s=2, clock=HandClock())
    assert ran.log == ["cannot run: a, b: not permitted; run as root | c: no such file"]
    assert ran.last_report("b").reason == "cannot load the BPF object b: not permitted; run as root"


def test_when_none_can_run_the_exit_status_says_so_and_the_reports_why(register, tmp_path):
    def locked(host):
        raise SourceUnavailableError("locked")

    register("a", locked)
    ran = run_to_file(tmp_path, [], duration_s=5, clock=HandClock())
    assert ran.code == 1
    assert ran.log == ["cannot run: a: locked", "no collector can run here"]
    assert [(report.name, report.status) for report in ran.reports] == [("a", "unavailable")]


def test_a_collector_that_fails_to_open_is_tried_again_and_the_others_run(register, tmp_path):
    opened = []

    def late(host):
        opened.append(host)
        if len(opened) < 3:
            raise OSError("not yet")
        return Loads()

    register("late", late)
    register("good", lambda host: Loads())
    ran = run_to_file(tmp_path, ["late", "good"], duration_s=6, clock=HandClock())
    assert [line.split(";")[0].split(" (")[0] for line in ran.log] == ["collector late failed: OSError: not yet"] * 2
    assert ran.last_report("late").events == 3
    assert ran.last_report("good").events == 6


def test_without_names_those_run_that_run_by_default(register, tmp_path):
    register("a", lambda host: Loads())
    register("b", lambda host: Loads(), default=False)
    ran = run_to_file(tmp_path, [], duration_s=1, clock=HandClock())
    assert {report.name for report in ran.reports} == {"a"}


@pytest.mark.parametrize("interval", [0, -1, float("nan"), 0.001])
def test_an_interval_that_is_none_is_refused(interval, register, tmp_path):
    register("a", lambda host: Loads())
    with pytest.raises(UsageError, match="interval"):
        run_to_file(tmp_path, ["a"], duration_s=1, interval_s=interval, clock=HandClock())


def test_an_unknown_name_is_refused_before_anything_is_opened(register, tmp_path):
    opened = []
    register("a", lambda host: opened.append(host) or Loads())
    with pytest.raises(UsageError, match="'nonsense'"):
        run_to_file(tmp_path, ["a", "nonsense"], duration_s=1, clock=HandClock())
    assert not opened


@pytest.mark.parametrize("options", [{"pressure_groups": "many"}, {"pressure_groups": -1}])
def test_an_option_that_is_none_is_refused_and_not_tried_again(options, tmp_path):
    name = next(iter(options)).partition("_")[0]
    with pytest.raises(UsageError, match=next(iter(options))):
        run_to_file(tmp_path, [name], duration_s=1, clock=HandClock(), options=options)


def test_reports_come_at_once_every_ten_seconds_and_at_the_end(register, tmp_path):
    register("a", lambda host: Loads())
    ran = run_to_file(tmp_path, ["a"], duration_s=25, clock=HandClock())
    assert [(report.timestamp - EPOCH) // S for report in ran.reports] == [0, 10, 20, 25]
    assert [report.events for report in ran.reports] == [1, 11, 21, 25]
    assert ran.reports[-1].cpu_ns > 0


def test_everything_is_closed_at_the_end(register, tmp_path):
    made = []
    register("a", lambda host: made.append(Loads()) or made[-1])
    run_to_file(tmp_path, ["a"], duration_s=1, clock=HandClock())
    assert [one.closed for one in made] == [1]


def test_a_full_disk_is_an_error_with_its_name(register):
    from kernelsight.collectors.runner import run

    register("a", lambda host: Loads())
    with (
        Path("/dev/full").open("wb") as full,
        Path(os.devnull).open("w") as log,
        pytest.raises(KernelSightError, match="No space"),
    ):
        run(["a"], Host(), interval_s=1, duration_s=1, out=full.fileno(), stop=threading.Event(), log=log)


class Ringing(Loads):
    """Speaks by itself, through an eventfd, as a BPF ring buffer does through its epoll."""

    def __init__(self):
        super().__init__()
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.waiting = []
        self.lost = 0

    def fileno(self):
        return self.fd

    def drain(self, to_epoch):
        waiting, self.waiting = self.waiting, []
        if waiting:
            os.eventfd_read(self.fd)
        return [Load(to_epoch(stamp), last_pid=number) for number, stamp in waiting]

    def collect(self, now):
        return []

    def ring(self, number):
        self.waiting.append((number, time.monotonic_ns()))
        os.eventfd_write(self.fd, 1)

    def close(self):
        os.close(self.fd)


def test_sources_that_speak_are_drained_between_grid_points_and_at_the_end(register, tmp_path):
    source = Ringing()
    source.lost = 3
    register("ring", lambda host: source)
    stop = threading.Event()

    def speak():
        deadline = time.monotonic() + 20
        for number in range(5):
            source.ring(number)
            while source.waiting and time.monotonic() < deadline:
                time.sleep(0.001)
        # The grid's second point is an hour away: only draining in between can have taken the five.
        source.waiting.append((5, time.monotonic_ns()))
        os.eventfd_write(source.fd, 1)
        stop.set()

    thread = threading.Thread(target=speak)
    before = time.time_ns()
    thread.start()
    ran = run_to_file(tmp_path, ["ring"], duration_s=None, interval_s=3600, stop=stop)
    thread.join()
    assert [event.last_pid for event in ran.samples] == [0, 1, 2, 3, 4, 5]
    assert all(before - S < stamp < time.time_ns() + S for stamp in ran.stamps)
    assert ran.last_report("ring").lost == 3


def test_a_source_that_fails_to_drain_is_not_listened_to_any_more(register, tmp_path):
    made, drained = [], []

    class Broken(Ringing):
        def drain(self, to_epoch):
            drained.append(self)
            raise OSError("the buffer is gone")  # and what rang goes on to ring

    def factory(host):
        made.append(Broken())
        made[-1].ring(0)
        return made[-1]

    register("ring", factory)
    register("good", lambda host: Loads())
    clock = HandClock()
    ran = run_to_file(tmp_path, ["ring", "good"], duration_s=0.5, interval_s=0.1, clock=clock)
    assert len(ran.samples) == 5
    assert clock.waits < 10  # one a grid point: its descriptor does not wake the runner any more
    assert len(made) == len(drained) == 1
    assert ran.last_report("ring").status == "failed"


def test_the_list_names_every_source_and_why_one_cannot_run(tmp_path):
    host = Host(proc=tmp_path, sys=tmp_path, cgroup=tmp_path)
    listed = {(one.registered.name, one.registered.source): one for one in list_collectors(host)}
    assert {"memory", "cpu", "pressure", "block", "network", "tcp", "filesystem"} <= {name for name, _ in listed}
    assert not listed["memory", "procfs"].available
    assert str(tmp_path / "meminfo") in listed["memory", "procfs"].reason
    here = {(one.registered.name, one.registered.source): one for one in list_collectors(Host())}
    assert here["memory", "procfs"].available


def test_boot_time_is_not_the_epoch():
    assert BOOT != EPOCH  # else a stamp on the wrong clock would pass


def test_what_a_collector_leaves_out_is_counted_and_named_in_its_report_alone(register, tmp_path):
    def odd(_):
        note("no integer", b"1\x1bx", "/proc/odd")

    register("odd", lambda host: Loads(odd))
    register("good", lambda host: Loads())
    ran = run_to_file(tmp_path, ["odd", "good"], duration_s=12, clock=HandClock())
    report, other = ran.last_report("odd"), ran.last_report("good")
    assert (report.status, report.not_understood, report.events) == ("running", 12, 12)
    assert report.reason == r"not understood in /proc/odd, 12 times since the start, first: '1\x1bx' (no integer)"
    assert (other.not_understood, other.reason) == (0, None)
