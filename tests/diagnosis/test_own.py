"""Our own processes are no part of any finding, however they are known."""

from __future__ import annotations

from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.own import own_pids
from kernelsight.events.collector import CollectorReport
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait

COLLECTING, READING, WATCHING, SUPERVISING, KWORKER = 90, 91, 92, 93, 94


def parts():
    """A collector with its supervisor, and what that has started, under the names that interpreters have."""
    yield CollectorReport(
        START - 5 * SECOND, name="block", status="running", pid=COLLECTING, supervisor_pid=SUPERVISING
    )
    for pid, parent in ((COLLECTING, SUPERVISING), (WATCHING, SUPERVISING), (SUPERVISING, 1)):
        yield Process(START, pid=pid, ppid=parent, comm="python3", start_ticks=1)


def test_parts_are_known_by_their_pids_and_not_by_their_names():
    reports = [CollectorReport(START, name="block", status="running", pid=COLLECTING, supervisor_pid=SUPERVISING)]
    samples = [
        Process(START, pid=WATCHING, ppid=SUPERVISING, comm="a"),
        Process(START, pid=7, ppid=WATCHING, comm="b"),
    ]
    waits = [Wait(START, pid=READING, waker_pid=COLLECTING, waits_in="read")]
    stranger = Process(START, pid=8, ppid=1, comm="kernelsight")
    assert own_pids(reports, [*samples, stranger], waits) == {COLLECTING, SUPERVISING, WATCHING, READING, 7}


def test_nothing_is_said_of_ourselves_though_we_take_the_cpus_and_others_wait_for_us(tmp_path):
    hogs = [*used(WATCHING, "python3", 900, 700, since=FROM), *used(COLLECTING, "python3", 900, 700, since=FROM)]
    victim = used(11, "db", 300, 700)
    rows = [*cpus(2), *parts(), *hogs, *victim]
    assert all(f.culprit.name != "python3" for f in diagnose(stored(tmp_path / "own", rows), START, END).findings)
    ours = {str(pid) for pid in (COLLECTING, READING, WATCHING, SUPERVISING)}
    for finding in diagnose(str(tmp_path / "own"), START, END).findings:
        assert finding.culprit.id not in ours
        assert not ours & {one.id for one in finding.victims}


def test_who_waits_for_us_is_no_link_of_a_path(tmp_path):
    waits = [
        Wait(
            START + second * SECOND + 7, pid=KWORKER, comm="kworker/0:1", waker_pid=COLLECTING, waker_comm="python3",
            waits_in=None, state="uninterruptible", count=10, wait_ns=(2 * SECOND if second >= FROM else SECOND // 9),
            max_wait_ns=2 * SECOND,
        )
        for second in range(LENGTH)
    ]  # fmt: skip
    hogs = [row for pid in (70, 71) for row in used(pid, "hog", 990, 500, since=FROM)]
    slowed = [*used(11, "db", 300, 700), *used(COLLECTING, "python3", 100, 900)]
    found = diagnose(stored(tmp_path / "db", [*cpus(2), *parts(), *waits, *hogs, *slowed]), START, END)
    assert [(one.fault, one.culprit.name) for one in found.findings] == [("cpu_saturation", "hog")]
    assert all("kworker" not in step.claim for finding in found.findings for step in finding.path)
