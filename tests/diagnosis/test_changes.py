"""What changed shortly before a fault: said with it where it touches its path, and never as the cause."""

from __future__ import annotations

import json

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.changed import changes, changes_before, not_watched, subjects
from kernelsight.diagnosis.check import wrong_with
from kernelsight.diagnosis.report import report
from kernelsight.events.boot import Boot
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.collector import CollectorReport
from kernelsight.events.kernel_setting import KernelSetting
from kernelsight.events.mount import Mount
from kernelsight.events.network_setting import NetworkSetting
from kernelsight.events.package_change import PackageChange
from kernelsight.events.process import Process
from kernelsight.events.service import Service, ServiceEdge
from kernelsight.query.source import opened

DAY = 86_400


def saturated():
    """A program that takes the only CPU from another one, from a second on."""
    yield from cpus(1)
    yield from used(10, "porka", 700, 290, since=FROM)
    yield from used(11, "prey", 290, 700, since=FROM)
    for second in range(FROM):
        yield from (row for row in used(11, "prey", 300, 2) if row.timestamp == START + second * SECOND + 7)


def ran(name: str, since: int = -DAY, status="running", reason=None):
    """Reports of a collector from a second on."""
    for second in (since, 0, LENGTH):
        yield CollectorReport(START + second * SECOND, name=name, status=status, reason=reason, run=START)


def setting(name: str, value: str | None, *, at: int, was: str | None = None, after: int | None = None):
    return KernelSetting(START + at * SECOND, name, value, was, None if after is None else START + after * SECOND)


def asked(tmp_path, *events):
    path = stored(tmp_path / "c.db", [*saturated(), *events])
    diagnosis = diagnose(path, START, END)
    (finding,) = diagnosis.findings
    with opened(path) as reader:
        for change in finding.changes:
            assert {wrong_with(reader, evidence) for evidence in change.evidence} == {""}
    return diagnosis, finding


def said(diagnosis):
    return "\n".join(line.text for line in report(diagnosis))


def test_a_setting_that_governs_the_mechanism_is_said_with_the_finding(tmp_path):
    diagnosis, finding = asked(
        tmp_path,
        *ran("kernel_setting"),
        setting("kernel.sched_rt_runtime_us", "1000000", was="950000", at=4, after=-16),
    )
    (change,) = finding.changes
    assert change.claim == "kernel.sched_rt_runtime_us is 1000000 instead of 950000"
    assert change.touches == "it governs cpu saturation"
    assert "changed shortly before, and touches this (which does not make it the cause):\n    between" in said(
        diagnosis
    )
    assert finding.fault == "cpu_saturation"
    assert all("sched_rt" not in step.claim for step in finding.path), "a change is no step of a path"


def test_a_setting_that_has_nothing_to_do_with_it_is_only_counted(tmp_path):
    diagnosis, finding = asked(
        tmp_path, *ran("kernel_setting"), setting("fs.lease-break-time", "5", was="45", at=4, after=1)
    )
    assert (finding.changes, finding.changes_elsewhere) == ((), 1)
    assert "no way to this fault is known" in said(diagnosis)


@pytest.mark.parametrize(("at", "after"), [(FROM + 12, FROM + 8), (-1000, -1020)])
def test_what_changed_later_or_long_before_is_not_said(tmp_path, at, after):
    _, finding = asked(tmp_path, *ran("kernel_setting"), setting("kernel.sched_x", "2", was="1", at=at, after=after))
    assert (finding.changes, finding.changes_elsewhere) == ((), 0)


def test_what_was_seen_late_may_have_come_before(tmp_path):
    _, finding = asked(
        tmp_path, *ran("kernel_setting"), setting("kernel.sched_x", "2", was="1", at=FROM + 15, after=FROM - 5)
    )
    assert [change.item for change in finding.changes] == ["kernel.sched_x"]


def test_the_first_look_is_no_change_but_what_differs_from_the_run_before_is_one(tmp_path):
    _, finding = asked(
        tmp_path,
        *ran("kernel_setting", -300),
        setting("kernel.sched_x", "1", at=-300),
        setting("kernel.sched_y", "1", at=-300),
        setting("kernel.sched_x", "2", at=0),
        setting("kernel.sched_y", "1", at=0),
        setting("kernel.sched_new", "1", at=0),
    )
    assert [change.claim for change in finding.changes] == ["kernel.sched_x is 2 instead of 1"]
    assert finding.changes[0].after_ns == START - 300 * SECOND, "the last report before the second run"


def test_what_changes_at_this_hour_every_day_comes_after_what_does_not(tmp_path):
    daily = [
        setting("kernel.sched_a", value, was=was, at=day * -DAY, after=day * -DAY - 20)
        for day, value, was in ((2, "1", "2"), (1, "2", "1"))
    ]
    _, finding = asked(
        tmp_path,
        *ran("kernel_setting", -3 * DAY),
        *daily,
        setting("kernel.sched_a", "3", was="2", at=8, after=6),
        setting("kernel.sched_b", "2", was="1", at=-200, after=-220),
    )
    assert [(change.item, change.other_days) for change in finding.changes] == [
        ("kernel.sched_b", 0),
        ("kernel.sched_a", 2),
    ]


def test_of_many_changes_a_few_are_said_and_the_others_counted(tmp_path):
    many = [setting(f"kernel.sched_{number:03}", "2", was="1", at=8, after=6) for number in range(300)]
    _, finding = asked(tmp_path, *ran("kernel_setting"), *many)
    assert (len(finding.changes), finding.changes_elsewhere) == (5, 295)


def process(pid: int, comm: str, started: float, *, at=range(-900, LENGTH, 5), group: str = "/", ppid: int = 1):
    """Rows of a process that was started in a second."""
    ticks = 1_000_000 + int(started * 100)
    for second in at:
        if second >= started:
            yield Process(START + second * SECOND, pid=pid, ppid=ppid, comm=comm, start_ticks=ticks, cgroup=group)


BOOT = Boot(START - 900 * SECOND, START - 10_000 * SECOND, "6.1")


@pytest.mark.parametrize(("group", "touches"), [("/system.slice/shop.service", 1), ("/user.slice/session-1.scope", 0)])
def test_what_started_beside_the_culprit_touches_it_only_in_a_service(tmp_path, group, touches):
    _, finding = asked(
        tmp_path, BOOT, *ran("boot"), *process(10, "porka", -5000, group=group), *process(12, "other", -30, group=group)
    )
    assert len(finding.changes) == touches
    assert finding.changes_elsewhere == 1 - touches


def test_a_culprit_that_was_started_shortly_before_is_said_with_its_time(tmp_path):
    _, finding = asked(
        tmp_path, BOOT, *ran("boot"), *process(10, "porka", FROM - 2), *process(11, "prey", -5000),
        *process(12, "another", FROM - 1),
    )  # fmt: skip
    (change,) = finding.changes
    assert (change.claim, change.touches) == ("porka (10): it was started", "it is the culprit")
    assert change.at_ns == change.after_ns == START + (FROM - 2) * SECOND
    assert finding.changes_elsewhere == 1


def test_a_service_that_was_started_again_is_told_from_one_that_is_new(tmp_path):
    _, finding = asked(
        tmp_path, BOOT, *ran("boot"),
        *process(9, "prey", -5000, at=range(-900, -40, 5)), *process(11, "prey", -40), *process(10, "porka", -5000),
    )  # fmt: skip
    assert [change.claim for change in finding.changes] == ["prey (11): it was started again"]


def test_many_processes_of_one_program_are_one_change_and_short_ones_none(tmp_path):
    group = "/system.slice/porka.service"
    crowd = [row for pid in range(100, 140) for row in process(pid, "porka", -40, group=group)]
    short = [row for pid in range(200, 240) for row in process(pid, "porka", -40.5, at=[-40], group=group)]
    _, finding = asked(tmp_path, BOOT, *ran("boot"), *crowd, *short, *process(10, "porka", -5000, group=group))
    assert [change.claim for change in finding.changes] == ["40 processes of porka were started"]


def test_a_program_that_is_started_again_and_again_is_said_once(tmp_path):
    _, finding = asked(
        tmp_path, BOOT, *ran("boot"),
        *process(10, "porka", FROM - 2), *process(12, "porka", -40), *process(13, "porka", -90),
    )  # fmt: skip
    assert [change.touches for change in finding.changes] == ["it is the culprit"]
    assert finding.changes_elsewhere == 2


def test_a_name_alone_makes_nobody_a_part_of_a_program(tmp_path):
    _, finding = asked(tmp_path, BOOT, *ran("boot"), *process(10, "porka", -5000), *process(12, "porka", -30))
    assert (finding.changes, finding.changes_elsewhere) == ((), 1)


def test_what_runs_at_this_time_every_day_is_said_to(tmp_path):
    daily = [row for day in (1, 2) for row in process(7, "porka", -DAY * day - 2, at=[FROM + 28 - day * DAY])]
    _, finding = asked(tmp_path, BOOT, *ran("boot", -3 * DAY), *daily, *process(10, "porka", FROM - 2))
    assert [change.other_days for change in finding.changes] == [2]


def test_without_the_time_of_the_boot_nobody_is_said_to_have_been_started(tmp_path):
    diagnosis, finding = asked(tmp_path, *process(10, "porka", FROM - 2))
    assert finding.changes == ()
    assert next(watch for watch in diagnosis.watched if watch.subject == "program").since_ns is None


def test_a_limit_of_the_group_of_the_culprit_is_said(tmp_path):
    def group(second: int, weight: int, quota: int | None):
        return Cgroup(
            START + second * SECOND, cgroup="/shop", cpu_weight=weight, cpu_quota_us=quota, cpu_period_us=100_000
        )

    groups = [
        group(second, 100 if second < 5 else 10_000, None if second < 6 else 150_000) for second in range(-60, LENGTH)
    ]
    _, finding = asked(tmp_path, *ran("cgroup"), *groups, *process(10, "porka", -5000, group="/shop/porka.service"))
    assert [(change.claim, change.touches) for change in finding.changes] == [
        ("CPU quota of /shop is 1.5 CPUs instead of no limit", "the culprit, porka (10) is in it"),
        ("CPU weight of /shop is 10,000 instead of 100", "the culprit, porka (10) is in it"),
    ]


def test_a_package_touches_who_runs_its_programs(tmp_path):
    def package(name: str, programs: str, at: int):
        return PackageChange(
            START + 5 * SECOND, "dpkg", name, "upgraded", "2", "1", START + at * SECOND, programs, None
        )

    rows = [*process(10, "worker", -5000)]
    for row in rows:
        row.exe = "/usr/lib/shop/bin/porka (deleted)"
    _, finding = asked(
        tmp_path, *ran("package_change"), *rows,
        package("shop:amd64", "/usr/bin/x /usr/lib/shop/bin/porka", -50),
        package("shop:amd64", "/usr/lib/shop/bin/porka", -50),
        package("other:amd64", "/usr/bin/porka", -50), package("shop:amd64", "/usr/lib/shop/bin/porka", -5000),
    )  # fmt: skip
    (change,) = finding.changes
    assert change.claim == "dpkg changed shop:amd64 from 1 to 2"
    assert change.touches.startswith("it is the program of the culprit")
    assert finding.changes_elsewhere == 1


@pytest.mark.parametrize(
    ("rows", "claims"),
    [
        (
            [("/data", "/dev/sdb1", "rw,x"), ("/data", "/dev/sdb1", "ro,x")],
            ["/data is mounted read-only; before it could be written to"],
        ),
        ([("/data", "/dev/sdb1", "rw"), ("/data", None, None)], ["/dev/sdb1 is not mounted at /data any more"]),
        (
            [("/data", "/dev/sdb1", "rw"), ("/data", "/dev/sdc1", "rw")],
            ["/dev/sdc1 (ext4) is mounted at /data instead of /dev/sdb1"],
        ),
        (
            [("/data", "/dev/sdb1", "rw,noatime"), ("/data", "/dev/sdb1", "rw,sync")],
            ["/data is mounted with sync without noatime"],
        ),
    ],
)
def test_mounts_that_changed(tmp_path, rows, claims):
    (_, device, options), (point, new, how) = rows
    first = Mount(START - 60 * SECOND, point, device, "ext4", "8:17", options)
    second = Mount(START, point, new, "ext4", "8:17", how, device, options, START - SECOND)
    path = stored(tmp_path / "m.db", [first, second])
    assert [change.claim for change in changes(path, START - 100 * SECOND, END).changes] == claims


def test_a_start_of_the_machine_and_a_route_are_told(tmp_path):
    path = stored(
        tmp_path / "m.db",
        [
            Boot(START - DAY * SECOND, START - 2 * DAY * SECOND, "6.1", command_line="quiet"),
            Boot(START + 20 * SECOND, START + 3 * SECOND, "6.2", command_line="mitigations=off"),
            NetworkSetting(
                START + 9 * SECOND,
                "route",
                "eth0",
                "0.0.0.0/0",
                "via 10.0.0.9, metric 0",
                "via 10.0.0.1, metric 0",
                START,
            ),
            NetworkSetting(START + 9 * SECOND, "mtu", "eth0", "mtu", "900", "1500", START),
        ],
    )
    assert [change.claim for change in changes(path, START - 100 * SECOND, END).changes] == [
        "the machine was started, with kernel 6.2 instead of 6.1 and another command line",
        "MTU of eth0 is 900 instead of 1500",
        "route 0.0.0.0/0 of eth0 is via 10.0.0.9, metric 0 instead of via 10.0.0.1, metric 0",
    ]


def test_services_and_peers_that_are_new_or_gone_are_told(tmp_path):
    def listens(comm: str, port: int, seconds: range, protocol="tcp"):
        return [Service(START + second * SECOND, protocol, "0.0.0.0", port, comm=comm) for second in seconds]

    def asks(comm: str, address: str, seconds: range):
        return [
            ServiceEdge(START + second * SECOND, pid=4, comm=comm, protocol="tcp", address=address, port=5432)
            for second in seconds
        ]

    events = [
        *listens("web", 80, range(-600, LENGTH, 10)), *listens("old", 81, range(-600, -300, 10)),
        *listens("prey", 82, range(-200, LENGTH, 10)), *listens("dns", 40_000, range(-200, LENGTH, 10), "udp"),
        *asks("web", "10.0.0.7", range(-600, LENGTH)), *asks("prey", "10.0.0.8", range(-100, LENGTH)),
    ]  # fmt: skip
    _, finding = asked(tmp_path, *ran("service"), *events)
    assert [(change.claim, change.touches) for change in finding.changes] == [
        ("prey asks 10.0.0.8:5432 (tcp), which it did not at first", "it is the program of who suffers, prey (11)"),
        ("prey began to listen at 0.0.0.0:82 (tcp)", "it is the program of who suffers, prey (11)"),
    ]
    claims = [change.claim for change in changes(tmp_path / "c.db", START - 600 * SECOND, END).changes]
    assert "old does not listen at 0.0.0.0:81 (tcp) any more" in claims
    assert len(claims) == 3


def test_names_that_command_a_terminal_stay_text(tmp_path):
    hostile = setting("kernel.sched_\x1b[31m", "\x1b]0;x\x07" * 9, was="\n", at=8, after=6)
    diagnosis, finding = asked(tmp_path, *ran("kernel_setting"), hostile)
    assert len(finding.changes) == 1
    assert json.loads(json.dumps(said(diagnosis)))


def test_a_value_that_no_kernel_gives_ends_the_subject_alone(tmp_path):
    rows = [KernelSetting(START + 5 * SECOND, "kernel.sched_x", 7, b"\0", "soon"), *ran("kernel_setting")]  # type: ignore[arg-type]
    diagnosis, finding = asked(tmp_path, *rows)
    assert finding.fault == "cpu_saturation"
    assert diagnosis.watched


def reports(seconds):
    for second in seconds:
        yield CollectorReport(START + second * SECOND, name="mount", status="running", run=START)


@pytest.mark.parametrize(
    ("seconds", "known"),
    [
        (range(-DAY, LENGTH, 10), -DAY),  # all the time
        ([*range(-DAY, -5000, 10), *range(-300, LENGTH, 10)], -300),  # it was down for a while
        (range(-DAY, -300, 10), None),  # it is down
    ],
)
def test_a_collector_that_was_down_watched_nothing_meanwhile(tmp_path, seconds, known):
    path = stored(tmp_path / "c.db", [*saturated(), *reports(seconds)])
    (watch,) = (watch for watch in changes(path, START - 900 * SECOND, END).watched if watch.subject == "mount")
    assert watch.since_ns == (None if known is None else START + known * SECOND)
    assert ("its collector has not run since" in watch.why_not) == (known is None)


def test_without_history_it_is_not_known(tmp_path):
    diagnosis, finding = asked(tmp_path)
    assert finding.changes == ()
    assert all(watch.since_ns is None for watch in diagnosis.watched)
    assert "changes were not watched" in said(diagnosis)


def test_with_history_and_no_change_it_says_since_when_it_watches(tmp_path):
    events = [event for subject in subjects().values() for name in subject.collectors for event in ran(name, -60)]
    diagnosis, _ = asked(tmp_path, *events)
    assert "nothing is known to have changed shortly before; changes are watched since" in said(diagnosis)


def test_a_time_is_asked_for_its_changes_and_what_is_not_known_of_it_is_said(tmp_path):
    path = stored(
        tmp_path / "c.db",
        [
            *ran("kernel_setting", -60),
            setting("vm.swappiness", "1", was="60", at=20, after=0),
            *ran("mount", reason="no"),
        ],
    )
    found = changes(path, START - 100 * SECOND, END)
    assert [change.claim for change in found.changes] == ["vm.swappiness is 1 instead of 60"]
    assert any("kernel settings: not known before" in sentence for sentence in not_watched(found.watched, found.when))
    assert [change.item for change in changes_before(path, START + 10 * SECOND).changes] == ["vm.swappiness"]
    assert changes_before(path, START - 10 * SECOND).changes == ()
