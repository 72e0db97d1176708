"""What is only the effect of another finding is named as such; independent faults stay apart."""

import pytest
from scenes import LENGTH, SECOND, START, stored, used

from kernelsight.diagnosis.candidate import Candidate, Outcome
from kernelsight.diagnosis.effects import explains, is_again, kin, split
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.ranking import rank
from kernelsight.diagnosis.window import Window
from kernelsight.events.process import Process
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader

PROCESSES = [
    Process(START, pid=10, ppid=1, comm="writer", start_ticks=1, cgroup="/batch"),
    Process(START, pid=20, ppid=1, comm="database", start_ticks=1, cgroup="/shop/db"),
    Process(START, pid=30, ppid=1, comm="forker", start_ticks=1),
    Process(START, pid=31, ppid=30, comm="child", start_ticks=1),
]
WRITER, DATABASE = Entity("process", "10", "writer"), Entity("process", "20", "database")
FORKER, CHILD = Entity("process", "30", "forker"), Entity("process", "31", "child")
SHOP = Entity("cgroup", "/shop", "/shop")


@pytest.fixture
def window(tmp_path):
    reader = open_reader(stored(tmp_path / "db", PROCESSES))
    yield Window(reader, TimeRange(START, START + LENGTH * SECOND))
    reader.close()


def candidate(fault, culprit, *victims, onset=10, sure=True):
    one = Candidate(fault, culprit, START + onset * SECOND, victims)
    one.checks = [Outcome("it is so", sure, 4.0, 4.0)]
    one.path = [Step("shown", ())]  # only whether there is one matters here
    return one


def test_what_a_victim_does_is_an_effect(window):
    disk = candidate("disk_saturation", WRITER, DATABASE)
    locks = candidate("lock_contention", DATABASE, Entity("process", "21", "client"))
    assert split([locks, disk], window) == ([disk], [(locks, disk)])


def test_what_began_before_is_no_effect(window):
    disk = candidate("disk_saturation", WRITER, DATABASE, onset=20)
    locks = candidate("lock_contention", DATABASE, onset=5)
    assert not explains(disk, locks, window)


def test_nobody_is_made_to_leak(window):
    hogs, leak = candidate("cpu_saturation", WRITER, DATABASE), candidate("fd_leak", DATABASE)
    assert split([hogs, leak], window) == ([hogs, leak], [])


def test_the_mechanism_says_more_than_the_cpu_time_that_it_takes(window):
    storm = candidate("fork_storm", FORKER)
    hogs = candidate("cpu_saturation", CHILD, DATABASE)
    assert split([hogs, storm], window) == ([storm], [(hogs, storm)])
    assert not explains(hogs, storm, window)


def test_a_lock_makes_nobody_start_others(window):
    storm, locks = candidate("fork_storm", FORKER, FORKER), candidate("lock_contention", FORKER, FORKER)
    assert split([locks, storm], window) == ([storm], [(locks, storm)])


def test_two_faults_of_different_programs_stay_apart(window):
    hogs, disk = candidate("cpu_saturation", CHILD, DATABASE), candidate("disk_saturation", WRITER, DATABASE)
    assert split([hogs, disk], window) == ([hogs, disk], [])


def test_members_suffer_with_their_group(window):
    quota = candidate("cpu_throttling", SHOP, DATABASE)
    slow = candidate("listen_overflow", DATABASE)
    assert split([slow, quota], window) == ([quota], [(slow, quota)])


def test_two_that_explain_each_other_leave_the_likelier_one(window):
    one, other = candidate("disk_saturation", WRITER, DATABASE), candidate("memory_pressure", DATABASE, WRITER)
    assert split([one, other], window) == ([one], [(other, one)])


def test_kin_are_of_one_program_or_family_or_group(window):
    assert kin(FORKER, CHILD, window)
    assert kin(CHILD, FORKER, window)
    assert kin(DATABASE, SHOP, window)
    assert kin(SHOP, DATABASE, window)
    assert kin(WRITER, Entity("process", "99", "writer"), window)
    assert not kin(WRITER, SHOP, window)
    assert not kin(WRITER, DATABASE, window)


def test_a_program_that_saturates_twice_is_said_once_but_two_leaks_are_two(window):
    twin = Entity("process", "11", "writer")
    assert is_again(candidate("cpu_saturation", WRITER), candidate("cpu_saturation", twin), window)
    assert not is_again(candidate("fd_leak", WRITER), candidate("fd_leak", twin), window)


def test_an_effect_is_said_with_its_cause_and_the_unlikely_with_what_speaks_against_it(window):
    findings, ruled_out = rank(
        [
            candidate("disk_saturation", WRITER, DATABASE),
            candidate("lock_contention", DATABASE),
            candidate("fsync_stall", CHILD, sure=False),
        ],
        window,
    )
    assert [one.fault for one in findings] == ["disk_saturation"]
    assert [(one.fault, one.effect_of, one.against) for one in ruled_out] == [
        ("lock_contention", "disk_saturation by writer", ()),
        ("fsync_stall", "", ("it is so",)),
    ]


def test_a_relative_of_who_keeps_a_lock_takes_the_cpus_by_itself(window):
    locks = candidate("lock_contention", FORKER, Entity("process", "41", "waiter"), FORKER)
    hogs = candidate("cpu_saturation", CHILD, DATABASE)
    assert split([locks, hogs], window) == ([locks, hogs], [])
    assert not is_again(candidate("lock_contention", CHILD), locks, window)


def test_who_waits_takes_no_cpu_from_others(window):
    disk = candidate("disk_latency", Entity("device", "sdb", "sdb"), DATABASE)
    hogs = candidate("cpu_saturation", DATABASE, WRITER)
    assert split([disk, hogs], window) == ([disk, hogs], [])


def test_a_child_that_outlives_a_storm_of_forks_is_no_part_of_it(tmp_path):
    long, short = used(31, "child", 900, 100, since=5), list(used(32, "true", 5, 1, since=5))[:2]
    reader = open_reader(
        stored(tmp_path / "db", [*PROCESSES, Process(START, pid=32, ppid=30, comm="true"), *long, *short])
    )
    lasting = Window(reader, TimeRange(START, START + LENGTH * SECOND))
    storm = candidate("fork_storm", FORKER)
    assert not explains(storm, candidate("cpu_saturation", CHILD, DATABASE), lasting)
    assert explains(storm, candidate("cpu_saturation", Entity("process", "32", "true"), DATABASE), lasting)
    reader.close()


def test_a_quota_explains_the_locks_of_its_members_and_never_the_other_way_round(window):
    quota = candidate("cpu_throttling", SHOP)
    locks = candidate("lock_contention", DATABASE, DATABASE, onset=9)
    assert split([locks, quota], window) == ([quota], [(locks, quota)])
    assert not explains(locks, quota, window)
