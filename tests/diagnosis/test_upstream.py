"""What a number was before, and who waits for those who suffer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.before import before
from kernelsight.diagnosis.check import check
from kernelsight.diagnosis.window import Window
from kernelsight.events.declare import Event
from kernelsight.events.fields import Field
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess, Wait

SHOP, CLIENT, PROXY, HOG = 10, 20, 30, 40
BEGAN = START + FROM * SECOND


def asks(pid: int, whom: int, ms: float, ms_before: float, call: str = "recvfrom") -> Iterator[Wait]:
    """Waits of a process for another one, ten a second, which take another time from a second on."""
    for second in range(LENGTH):
        each = ms if second >= FROM else ms_before
        yield Wait(
            START + second * SECOND + 7, pid=pid, comm=f"c{pid}", waker_pid=whom, waker_comm=f"c{whom}",
            waits_in=call, state="interruptible", count=10, wait_ns=int(10 * each * 1e6), runqueue_ns=1000,
        )  # fmt: skip


def hogs() -> Iterator[Event]:
    """Two loops on two CPUs, and a shop that waits for one of them."""
    yield from cpus(2)
    yield from used(SHOP, "shop", 100, 1, slept=50)
    yield from used(SHOP, "shop", 0, 500, since=FROM)
    for hog in (HOG, HOG + 1, HOG + 2):
        yield from used(hog, "hog", 660, 330, since=FROM)


def test_who_waits_longer_for_a_victim_comes_first_on_the_path_and_whom_it_keeps_waiting_before_it(tmp_path):
    database = stored(
        tmp_path / "db",
        [*hogs(), *asks(PROXY, SHOP, 60, 5), *asks(CLIENT, PROXY, 70, 6), *asks(99, SHOP, 60, 5, "epoll_wait")],
    )
    found = diagnose(database, START, END)
    [finding] = found.findings
    assert (finding.fault, finding.culprit.name) == ("cpu_saturation", "hog")
    assert [step.claim for step in finding.path[:2]] == [
        f"c20 ({CLIENT}) waits 70 ms for c30 ({PROXY}) each time, and waited 6 ms before",
        f"c30 ({PROXY}) waits 60 ms for shop ({SHOP}) each time, and waited 5 ms before",
    ]
    assert "shop" in finding.path[2].claim
    assert check(database, found) == []


def test_who_waits_as_long_as_ever_is_not_said_to_suffer(tmp_path):
    found = diagnose(stored(tmp_path / "db", [*hogs(), *asks(CLIENT, SHOP, 60, 55)]), START, END)
    assert not any("waits" in step.claim for step in found.findings[0].path)


def test_of_very_many_clients_those_that_wait_longest_are_named(tmp_path):
    clients = [event for n in range(50) for event in asks(100 + n, SHOP, 60 + n, 5)]
    [finding] = diagnose(stored(tmp_path / "db", [*hogs(), *clients]), START, END).findings
    said = [step.claim.split(" waits")[0] for step in finding.path if "each time" in step.claim]
    assert said == ["c149 (149)", "c148 (148)", "c147 (147)"]


def cited(window: Window, metric: Field[Any, Any], pid: int, how: str, since: int = FROM):
    rows = [row for row in window.rows(metric.__objclass__) if row.pid == pid and window.second(row) >= since]
    evidence = window.evidence(rows, metric, how)
    assert evidence is not None
    return evidence


def samples(pid: int, **columns) -> Iterator[Process]:
    for second in range(LENGTH):
        of = {name: value(second) for name, value in columns.items()}
        yield Process(START + second * SECOND + 7, pid=pid, comm="c", start_ticks=1, **of)


def test_what_adds_up_is_compared_over_as_long_a_time(scene_of):
    window = scene_of(*used(HOG, "hog", 20, 0), *used(HOG, "hog", 980, 0, since=FROM))
    spent = cited(window, SchedProcess.cpu_time_ms, HOG, "sum")
    assert spent.value == 1000 * (LENGTH - FROM)
    assert before(window, spent, BEGAN) == pytest.approx(20 * (LENGTH - FROM))


def test_a_counter_is_compared_by_its_rate_and_a_gauge_by_what_it_was(scene_of):
    window = scene_of(
        *samples(SHOP, utime_ms=lambda s: 10.0 * min(s, FROM) + 100 * max(s - FROM, 0), rss_kb=lambda s: 100 + s)
    )
    grown = cited(window, Process.utime_ms, SHOP, "increase")
    assert (grown.value, before(window, grown, BEGAN)) == (1900, pytest.approx(190))
    assert before(window, cited(window, Process.rss_kb, SHOP, "max"), BEGAN) == 100 + FROM - 1


def test_what_lies_between_the_onset_and_the_rows_that_are_cited_is_not_before(scene_of):
    window = scene_of(*used(HOG, "hog", 20, 0), *used(HOG, "hog", 980, 0, since=FROM))
    late = cited(window, SchedProcess.cpu_time_ms, HOG, "sum", since=FROM + 10)
    assert before(window, late, BEGAN) == pytest.approx(20 * (LENGTH - FROM - 10))


def test_rows_of_one_moment_have_no_rate(scene_of):
    known = used(SHOP, "shop", 1, 0)
    twice = [Process(BEGAN - 2 * SECOND, pid=HOG, comm="c", start_ticks=1, utime_ms=utime) for utime in (5, 5)]
    others = samples(SHOP, utime_ms=lambda s: s)
    later = [Process(BEGAN + n * SECOND, pid=HOG, comm="c", start_ticks=1, utime_ms=10 * n) for n in range(5)]
    window = scene_of(*known, *others, *twice, *later)
    assert before(window, cited(window, Process.utime_ms, HOG, "increase"), BEGAN) is None


def test_of_others_nothing_is_taken_and_who_was_not_there_before_did_nothing(scene_of):
    window = scene_of(*used(SHOP, "shop", 300, 0), *used(HOG, "hog", 900, 0, since=FROM))
    assert before(window, cited(window, SchedProcess.cpu_time_ms, HOG, "sum"), BEGAN) == 0


def test_where_nothing_is_known_of_the_time_before_nothing_is_said(scene_of):
    window = scene_of(*(event for event in used(HOG, "hog", 900, 0) if isinstance(event, SchedProcess)))
    assert before(window, cited(window, SchedProcess.cpu_time_ms, HOG, "sum", since=2), START) is None
