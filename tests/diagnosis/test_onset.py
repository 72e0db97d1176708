"""When a fault began does not depend on the window in which it is asked for."""

from __future__ import annotations

import errno

import pytest
from scenes import SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.events.collector import CollectorReport
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess
from kernelsight.events.syscalls import SyscallError

LASTS_S = 400
BEGAN_S = 120
WINDOWS = [
    (0, 399), (0, 180), (60, 150), (70, 390), (100, 220), (110.3, 135.9), (115, 300), (118, 175), (119.5, 140.1),
    (121, 181), (140, 200), (170, 200), (172.4, 390), (185.7, 260), (250, 399),
]  # fmt: skip
"""First and last second; the last ones begin after the fault."""


def quiet():
    for second in range(LASTS_S):
        at = START + second * SECOND + 7
        yield from (Cpu(at, cpu=cpu, user=second, system=second, idle=1) for cpu in range(-1, 2))
        yield Memory(at, mem_total_kb=8_000_000, mem_available_kb=6_000_000 - 500 * second)
        if second % 10 == 0:
            yield CollectorReport(at, name="cpu", status="running", pid=9)


def used(pid, comm, ran_ms, queued_ms, since=0):
    for second in range(since, LASTS_S):
        yield SchedProcess(
            START + second * SECOND + 7, pid=pid, comm=comm, cpu_time_ms=ran_ms, runqueue_ms=queued_ms,
            involuntary_switches=int(queued_ms / 4), voluntary_switches=0, cgroup_id=1,
        )  # fmt: skip


def hogs():
    return [
        *used(70, "hog", 900, 100, BEGAN_S),
        *used(71, "hog", 900, 100, BEGAN_S),
        *used(11, "db", 100, 400, BEGAN_S),
    ]


def leak():
    for second in range(LASTS_S):
        grown = 20_000 * max(0, second - BEGAN_S)
        yield Process(
            START + second * SECOND + 5, pid=70, ppid=1, comm="leaky", start_ticks=1, threads=1, utime_ms=second,
            rss_kb=50_000 + grown, anon_kb=50_000 + grown, swap_kb=0, read_chars=0, write_chars=0,
        )  # fmt: skip


def quota():
    for second in range(BEGAN_S, LASTS_S):
        yield SyscallError(
            START + second * SECOND + 4, pid=70, comm="job", syscall_nr=1, syscall_name="write", errno=errno.EDQUOT,
            error="EDQUOT", count=3,
        )  # fmt: skip


@pytest.fixture(scope="module", params=[hogs, leak, quota], ids=lambda fault: fault.__name__)
def store(request, tmp_path_factory):
    return stored(tmp_path_factory.mktemp("onset") / "db", [*quiet(), *used(10, "sshd", 1, 0.1), *request.param()])


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_onset_is_the_same_for_every_window(store, window):
    first, last = (int(START + second * SECOND) for second in window)
    [finding] = diagnose(store, first, last).findings
    assert abs(finding.onset_ns - (START + BEGAN_S * SECOND)) <= 2 * SECOND
    assert not finding.began_before


def test_what_goes_back_beyond_what_is_looked_at_is_said_to_have_been_there(tmp_path):
    rows = [*quiet(), *used(70, "hog", 900, 100), *used(71, "hog", 900, 100), *used(11, "db", 100, 400)]
    path = stored(tmp_path / "db", rows)
    for first, last in ((350, 380), (30, 80)):
        [finding] = diagnose(path, START + first * SECOND, START + last * SECOND).findings
        assert finding.began_before
        assert finding.onset_ns <= START + 51 * SECOND


def test_an_episode_that_was_over_is_another_one(tmp_path):
    earlier = [e for e in hogs() if e.timestamp < START + 140 * SECOND]
    later = [e for e in hogs() if e.timestamp > START + 170 * SECOND]
    path = stored(tmp_path / "db", [*quiet(), *used(10, "sshd", 1, 0.1), *earlier, *later])
    [finding] = diagnose(path, START + 180 * SECOND, START + 220 * SECOND).findings
    assert abs(finding.onset_ns - (START + 170 * SECOND)) <= 2 * SECOND
