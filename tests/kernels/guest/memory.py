"""Page faults, and the end of those who want too much."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from pathlib import Path

from observed import observe, take

from guest import PROGRAMS, check
from guest.groups import identity, make
from kernelsight.collectors.base import Host, Registered
from kernelsight.collectors.bpf.stacks import FAULTS_PER_STACK
from kernelsight.events.memory import OomKill, PageFault, PageFaultStats
from kernelsight.events.stack import FaultStack, Stack

PAGE = 4096
MS = 1_000_000
ORDERS = {
    # what the program does: how often, of which kind, how, by a program
    "write 100": (100, "minor", "write", True),
    "read 100": (100, "minor", "read", True),
    "execute 1": (1, "minor", "exec", True),
    "kernel-reads 20": (20, "minor", "read", False),
    "disk 16 /data/pages": (16, "major", "read", True),
}


@check("page_faults")
def known_faults_are_counted_and_timed(entry: Registered) -> None:
    Path("/data/pages").write_bytes(os.urandom(16 * PAGE))
    os.sync()
    options = {"fault_threshold_ms": 0, "fault_source": entry.source}
    with (
        closing(entry.factory(Host(options=options))) as collector,
        subprocess.Popen(
            [PROGRAMS / "faults"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as program,
    ):

        def give(order: str) -> dict:
            program.stdin.write(f"{order}\n")
            return json.loads(program.stdout.readline())

        collector._pace.bearable_ns = 1e15  # whatever it costs
        silent = any("access_type" in sentence for sentence in collector.limitations)
        for order, (count, kind, access, user) in ORDERS.items():
            give(order)  # what it needs besides is there from now on
            take([collector])
            said = give(order)
            faults, stats = ours(take([collector]), said)
            pages = [said["from"] + i * PAGE for i in range(count)]
            assert [fault.address // PAGE * PAGE for fault in faults] == pages, (order, said, faults)
            expected = (kind, None if silent else access, user, program.pid, "faults", identity())
            for fault in faults:
                seen = (fault.fault_type, fault.access_type, fault.user_mode, fault.tid, fault.comm, fault.cgroup_id)
                assert seen == expected, (order, fault)
            assert all(
                0 < fault.latency_ns <= took for fault, took in zip(faults, said["took_ns"], strict=False)
            ), (order, said, faults)  # fmt: skip
            assert (stats.minor_faults, stats.major_faults) == (said["minor"], said["major"]), (order, said, stats)
        give("user 20")
        take([collector])
        said = give("user 20")
        faults, _ = ours(take([collector]), said)
        (took_ns,) = said["took_ns"]
        assert any(20 * MS <= fault.latency_ns <= took_ns for fault in faults), (said, faults)
        program.stdin.close()


@check("fault_stacks")
def stacks_of_faults_are_seen(entry: Registered) -> None:
    with (
        closing(entry.factory(Host())) as collector,
        subprocess.Popen(
            [PROGRAMS / "faults"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as program,
    ):
        faults = 0
        for _ in range(40):
            program.stdin.write("write 1000\n")
            faults += json.loads(program.stdout.readline())["minor"]
        seen = take([collector])
        rows = [event for event in seen if isinstance(event, FaultStack) and event.pid == program.pid]
        program.stdin.close()
    assert sum(row.faults for row in rows) > faults / 2 >= 5 * FAULTS_PER_STACK, (faults, rows)
    assert {row.comm for row in rows} == {"faults"}, rows
    stacks = {event.stack_id for event in seen if isinstance(event, Stack)}
    assert any(row.user_stack_id in stacks for row in rows), (rows, stacks)


def ours(events: list, said: dict) -> tuple[list[PageFault], PageFaultStats]:
    """The program's faults where it says that it made them, and its counts."""
    faults = [event for event in events if isinstance(event, PageFault) and event.pid == said["pid"]]
    there = [fault for fault in faults if 0 <= fault.address - said["from"] < 1 << 30]
    (stats,) = (event for event in events if isinstance(event, PageFaultStats) and event.pid == said["pid"])
    return there, stats


@check("oom_kill")
def who_is_killed_for_want_of_memory_is_seen_once(entry: Registered) -> None:
    group = make("small", {"memory.max": "32M", "memory.swap.max": "0"})
    enter = f'echo 0 >{group}/cgroup.procs && exec "$@"'
    observed = observe([entry.factory], "sh", "-c", enter, "sh", PROGRAMS / "hungry", 100, 1, 0, check=False)
    (event,) = observed.of(OomKill)
    assert (event.pid, event.comm, event.cgroup) == (observed.pid, "hungry", f"/{group.name}"), event
    assert 16 << 10 < event.anon_rss_kb <= 32 << 10, event
    assert event.total_vm_kb > 100 << 10, event
    assert (event.trigger_pid, event.uid) == (observed.pid, 0), event
    assert observed.began_ns < event.timestamp < observed.ended_ns, event
    assert observed.lost == 0
