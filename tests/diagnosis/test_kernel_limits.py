"""Limits of the kernel and of tasks, and slab: which limit it is, who holds it, and what only looks like one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.diagnosis.commands import shell_command
from kernelsight.diagnosis.limits import DESCRIPTOR_CALLS, LIMITS, OTHER_DESCRIPTOR_CALLS, limits_of
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.declare import Event
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.limit import Limit, LimitHolder
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.syscalls import SyscallError
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.linux.syscalls import FORKS

INSTANCES = "fs.inotify.max_user_instances"
TABLE = "net.netfilter.nf_conntrack_max"
MIB = 1 << 20


def findings(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return [(one.fault, one.culprit.name) for one in found.findings]


def at(second: float) -> int:
    return START + int(second * SECOND) + 7


def process(pid: int, comm: str, **columns) -> Iterator[Event]:
    known = {"ppid": 1, "start_ticks": pid, "state": "S", "threads": 1, "cgroup": "/app", "uid": 1000, **columns}
    for second in range(LENGTH):
        grown = {name: value(second) if callable(value) else value for name, value in known.items()}
        yield Process(at(second), pid=pid, comm=comm, **grown)


def failed(pid: int, comm: str, call: str, error: str, errno: int, each: int = 2) -> Iterator[Event]:
    for second in range(FROM, LENGTH):
        yield SyscallError(
            at(second), pid=pid, comm=comm, syscall_nr=1, syscall_name=call, errno=errno, error=error, count=each
        )


# --- which limit ---


def test_no_pair_of_call_and_error_means_two_limits_that_are_certain():
    pairs = {(call, error) for limit in LIMITS for error, calls in limit.met_by.items() for call in calls}
    for call, error in pairs:
        certain = [limit.name for limit in limits_of(call, error) if not limit.is_ambiguous]
        assert len(certain) <= 1, (call, error, certain)


@pytest.mark.parametrize("call", ["read", "write", "openat", None])
def test_what_is_not_declared_means_no_limit(call):
    assert limits_of(call, "ENOSPC") == ()
    assert limits_of(call, None) == ()


def test_calls_that_have_two_limits_of_one_error_are_told_apart():
    assert not DESCRIPTOR_CALLS & OTHER_DESCRIPTOR_CALLS
    assert not any(limits_of(call, "EMFILE") for call in DESCRIPTOR_CALLS)
    assert not any(limits_of(call, "EAGAIN") for call in FORKS)


# --- descriptors, and what is not their limit ---


@pytest.mark.parametrize(
    ("call", "fds", "limit", "expected"),
    [
        ("inotify_init1", 1020, 1024, [("fd_leak", "tail")]),
        ("inotify_init1", 22, 1 << 20, [("kernel_limit", INSTANCES)]),
        ("inotify_init1", None, None, [("kernel_limit", INSTANCES)]),
        ("openat", 1024, 1024, [("fd_leak", "tail")]),
        ("openat", 22, 1 << 20, [("fd_leak", "tail")]),  # EMFILE of it means nothing else: met between two samples
    ],
)
def test_the_process_must_be_near_its_own_limit_for_that_to_be_met(tmp_path, call, fds, limit, expected):
    rows = [*process(70, "tail", fds=fds, fd_limit=limit), *failed(70, "tail", call, "EMFILE", 24)]
    assert findings(stored(tmp_path / "db", rows)) == expected


def test_what_the_samples_do_not_show_of_a_limit_that_was_met_is_said(tmp_path):
    path = stored(
        tmp_path / "db", [*process(70, "tail", fds=22, fd_limit=1 << 20), *failed(70, "tail", "openat", "EMFILE", 24)]
    )
    [finding] = diagnose(path, START, END).findings
    assert any(
        "22 descriptors open, and may have 1048576. It met the limit between" in step.claim for step in finding.path
    )
    assert finding.confidence < 0.9


def test_a_program_that_tries_once_how_many_descriptors_it_may_have_suffers_nothing(tmp_path):
    rows = [*process(70, "tail", fds=22, fd_limit=1 << 20), next(failed(70, "tail", "openat", "EMFILE", 24, each=1))]
    assert findings(stored(tmp_path / "db", rows)) == []


def test_who_holds_the_objects_is_the_culprit_and_who_fails_the_victim(tmp_path):
    rows = [
        *process(70, "tail"), *process(71, "watcher"),
        *failed(70, "tail", "inotify_init1", "EMFILE", 24),
        *(Limit(at(second), INSTANCES, 1000, 128, 128) for second in (5, 15, 25)),
        *(LimitHolder(at(second), INSTANCES, 71, "watcher", 1000, 120) for second in (5, 15, 25)),
        *(LimitHolder(at(second), INSTANCES, 70, "tail", 1000, 8) for second in (5, 15, 25)),
        LimitHolder(at(5), INSTANCES, 90, "other", 0, 127),  # of another user
    ]  # fmt: skip
    path = stored(tmp_path / "db", rows)
    assert findings(path) == [("kernel_limit", "watcher")]
    [finding] = diagnose(path, START, END).findings
    assert [victim.name for victim in finding.victims] == ["tail"]
    assert shell_command(finding, finding.actions[0]) == "sysctl -w fs.inotify.max_user_instances=256"


def test_what_many_hold_a_little_of_is_the_limits_own(tmp_path):
    rows = [
        *failed(70, "tail", "inotify_init1", "EMFILE", 24),
        *(Limit(at(second), INSTANCES, 0, 128, 128) for second in (5, 15, 25)),
        *(LimitHolder(at(5), INSTANCES, pid, "pod", 0, 8) for pid in range(100, 116)),
    ]
    assert findings(stored(tmp_path / "db", rows)) == [("kernel_limit", INSTANCES)]


@pytest.mark.parametrize("each", [0, 1])
def test_one_try_that_fails_is_no_fault(tmp_path, each):
    rows = [SyscallError(at(12), pid=70, comm="x", syscall_nr=1, syscall_name="unshare", errno=28, error="ENOSPC",
                         count=each)]  # fmt: skip
    assert findings(stored(tmp_path / "db", rows)) == []


def test_without_memory_enomem_is_not_a_limit(tmp_path):
    short = [Memory(at(second), mem_total_kb=8 << 20, mem_available_kb=100_000) for second in range(LENGTH)]
    rows = [*short, *failed(70, "jvm", "mprotect", "ENOMEM", 12)]
    assert ("kernel_limit", "jvm") not in findings(stored(tmp_path / "db", rows))


# --- the table of connections ---


def drops(place: str) -> Iterator[Event]:
    for second in range(LENGTH):
        moved = 10_000 * second
        yield Network(at(second), interface_name="eth0", rx_packets=moved, tx_packets=moved, rx_bytes=0, tx_bytes=0)
        if second >= FROM:
            yield PacketDrop(at(second), reason="NETFILTER_DROP", interface_name="eth0", location=place, count=200)
            for number in range(30):
                yield TcpRetransmitEvent(at(second) + number, state="syn_sent", pid=70, comm="curl", segments=1,
                                         daddr="10.0.0.1", dport=80, sport=2000 + 40 * second + number)  # fmt: skip


def tracked(used: int) -> Iterator[Event]:
    for second in range(0, LENGTH, 5):
        yield Limit(at(second), TABLE, None, used, 65_536)
        yield Limit(at(second), "fs.file-max", None, 900, 1 << 20)


@pytest.mark.parametrize(
    ("place", "used", "expected"),
    [
        ("nf_hook_slow", 65_536, ("kernel_limit", TABLE)),
        ("nf_hook_slow", 900, ("packet_loss", "eth0")),  # a rule of iptables
        ("nft_do_chain", 65_536, ("packet_loss", "eth0")),  # a rule of nftables
    ],
)
def test_a_full_table_and_a_rule_are_told_apart_by_its_use_and_by_who_drops(tmp_path, place, used, expected):
    assert findings(stored(tmp_path / "db", [*drops(place), *tracked(used)])) == [expected]


def said(kind: str, **columns) -> Iterator[Event]:
    yield KernelMessage(at(FROM) + 5, message_kind=kind, from_kernel=True, count=1, **columns)


def test_a_table_of_another_namespace_is_known_by_what_the_kernel_says(tmp_path):
    log = said("table_full", subject="nf_conntrack", text="nf_conntrack: nf_conntrack: table full, dropping packet")
    answer = diagnose(stored(tmp_path / "db", [*drops("nf_hook_slow"), *log]), at(0), at(LENGTH))
    (finding,) = [finding for finding in answer.findings if finding.fault == "kernel_limit"]
    assert any("table full, dropping packet" in step.claim for step in finding.path)


def test_the_use_of_another_namespace_is_not_held_against_a_limit(tmp_path):
    rows = [
        *process(70, "shop"),
        *failed(70, "shop", "semget", "ENOSPC", 11),
        Limit(at(5), "kernel.sem", None, 0, 32_000),
    ]
    answer = diagnose(stored(tmp_path / "db", rows), at(0), at(LENGTH))
    (finding,) = answer.findings
    assert finding.culprit.name == "kernel.sem"
    assert not any("existed of" in step.claim for step in finding.path)


# --- tasks ---


def test_a_group_is_named_by_what_the_kernel_says_where_its_counters_are_not_known(tmp_path):
    text = "cgroup: fork rejected by pids controller in /app"
    full = (
        Cgroup(at(second), cgroup="/app", pids_current=100, pids_limit=100, pids_limit_events=9, cpu_usage_us=second)
        for second in range(FROM, LENGTH)
    )
    rows = [
        *full,
        *said("table_full", subject="pids", cgroup="/app", text=text),
        *failed(70, "pool", "clone3", "EAGAIN", 11),
    ]
    answer = diagnose(stored(tmp_path / "db", rows), at(0), at(LENGTH))
    (finding,) = answer.findings
    assert (finding.fault, finding.culprit.name) == ("task_limit", "/app")
    assert any(text in step.claim for step in finding.path)


def group(used, refused, limit=100, **columns) -> Iterator[Event]:
    for second in range(LENGTH):
        grown = {name: value(second) for name, value in columns.items()}
        yield Cgroup(at(second), cgroup="/app", pids_current=used(second), pids_limit=limit,
                     pids_limit_events=refused(second), cpu_usage_us=second, **grown)  # fmt: skip


def since(second: int, per_second: float) -> int:
    return int(per_second * max(0, second - FROM))


def test_threads_that_fill_a_group_are_those_of_their_process(tmp_path):
    rows = [
        *group(lambda _: 100, lambda second: since(second, 3)),
        *process(70, "pool", threads=lambda second: min(97, 5 + 8 * second)),
        *failed(70, "pool", "clone3", "EAGAIN", 11),
    ]
    assert findings(stored(tmp_path / "db", rows)) == [("task_limit", "pool")]


def test_a_group_of_version_one_whose_members_are_not_known_has_those_whose_forks_fail(tmp_path):
    dead = [Process(at(9), pid=pid, ppid=70, comm="job", state="Z", start_ticks=pid, threads=1, cgroup="/")
            for pid in range(200, 290)]  # fmt: skip
    rows = [
        *group(lambda _: 99, lambda second: since(second, 3)),
        *process(70, "runner", cgroup="/elsewhere"),
        *dead,
        *failed(70, "runner", "clone", "EAGAIN", 11),
    ]
    assert findings(stored(tmp_path / "db", rows)) == [("task_limit", "runner")]


def test_refusals_of_a_full_group_count_for_those_above_it_and_are_one_fault(tmp_path):
    above = [
        Cgroup(at(second), cgroup="/", pids_current=300, pids_limit=9000, pids_limit_events=since(second, 3))
        for second in range(LENGTH)
    ]
    rows = [
        *above,
        *group(lambda _: 100, lambda second: since(second, 3)),
        *(event for pid in range(70, 90) for event in process(pid, f"job{pid}", threads=5)),
        *failed(70, "job70", "clone", "EAGAIN", 11),
    ]
    assert findings(stored(tmp_path / "db", rows)) == [("task_limit", "/app")]


def test_without_any_group_it_is_the_users_limit(tmp_path):
    rows = [
        *process(70, "pool", threads=400),
        *process(12, "other", uid=0, threads=900),
        *failed(70, "pool", "clone", "EAGAIN", 11),
    ]
    path = stored(tmp_path / "db", rows)
    assert findings(path) == [("task_limit", "pool")]
    assert "RLIMIT_NPROC" in diagnose(path, START, END).findings[0].outlook


def test_zombies_that_will_fill_a_group_are_told_before_it_is_full(tmp_path):
    dead = [Process(at(pid - 200), pid=pid, ppid=70, comm="job", state="Z", start_ticks=pid, threads=1, cgroup="/app")
            for pid in range(200, 200 + LENGTH)]  # fmt: skip
    rows = [*group(lambda second: 10 + second, lambda _: 0, limit=200), *process(70, "runner"), *dead]
    assert findings(stored(tmp_path / "db", rows)) == [("task_limit", "runner")]


@pytest.mark.parametrize(
    "used", [lambda _: 96, lambda second: 20 + 30 * (second % 3), lambda second: min(80, 10 * second)]
)
def test_a_group_with_many_tasks_that_refuses_nobody_is_healthy(tmp_path, used):
    rows = [*group(used, lambda _: 7), *process(70, "server", threads=40)]
    assert findings(stored(tmp_path / "db", rows)) == []


# --- slab ---


def memory(slab_mib, pinned_mib, available_mib) -> Iterator[Event]:
    for second in range(LENGTH):
        yield Memory(at(second), mem_total_kb=8 << 20, slab_kb=int(slab_mib(second) * 1024), mem_available_kb=int(
            available_mib(second) * 1024), slab_unreclaimable_kb=int(pinned_mib(second) * 1024))  # fmt: skip


@pytest.mark.parametrize(
    ("slab", "pinned", "available", "ill"),
    [
        (lambda s: 100 + 40 * s, lambda s: 90 + 40 * s, lambda s: 5000 - 40 * s, True),
        (lambda s: 100 + 40 * s, lambda _: 90, lambda s: 5000 - 40 * s, True),  # dentries that are not dropped
        (lambda s: 100 + 40 * s, lambda _: 90, lambda _: 5000, False),  # a walk over many files
        (lambda s: 100 + 40 * min(s, 10), lambda s: 90 + 40 * min(s, 10), lambda s: 5000 - 40 * min(s, 10), False),
        (lambda _: 3000, lambda _: 2900, lambda _: 900, False),  # much, and always the same
    ],
)
def test_slab_is_a_fault_where_it_grows_and_takes_memory_that_does_not_come_back(
    tmp_path, slab, pinned, available, ill
):
    found = findings(stored(tmp_path / "db", memory(slab, pinned, available)))
    assert [fault for fault, _ in found] == (["dentry_or_slab_growth"] if ill else [])


@pytest.mark.parametrize("stalled", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_a_group_that_is_full_of_slab_is_ill_where_its_tasks_wait_for_memory(tmp_path, stalled, told):
    def columns(second: int) -> dict[str, int]:
        slab = {"memory_slab_bytes": 85 * MIB} if told else {"memory_anon_bytes": 9 * MIB, "memory_file_bytes": 5 * MIB}
        return {"memory_current_bytes": 99 * MIB, "memory_limit_bytes": 100 * MIB, "memory_max_events": second, **slab}

    rows = [
        *memory(lambda _: 300, lambda _: 90, lambda _: 5000),
        *(Cgroup(at(second), cgroup="/app", **columns(second)) for second in range(LENGTH)),
        *(
            Pressure(at(second), resource="memory", scope="/app", some_total_us=second * 300_000 * stalled)
            for second in range(LENGTH)
        ),
    ]
    faults = [fault for fault, _ in findings(stored(tmp_path / "db", rows))]
    assert ("dentry_or_slab_growth" in faults) == stalled


@pytest.mark.parametrize(("in_cache", "expected"), [(False, 1), (True, 0)])
def test_slab_of_a_cache_that_gives_it_back_is_no_fault(tmp_path, in_cache, expected):
    rows = [
        Memory(
            at(second), mem_total_kb=8 << 20, mem_available_kb=(4 << 20) - 120_000 * second,
            slab_kb=200_000 + 100_000 * second, slab_unreclaimable_kb=100_000 + 100_000 * second,
            zfs_arc_kb=120_000 * second if in_cache else None,
        )
        for second in range(LENGTH)
    ]  # fmt: skip
    assert len(findings(stored(tmp_path / "db", rows))) == expected
