"""A recording names nobody but the scenario's own processes, places and files."""

from __future__ import annotations

import pytest
from benchmarks.faultbench.case import recorded
from benchmarks.faultbench.scrubbing import scrubbed, with_children

from kernelsight.events.cgroup import Cgroup
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.process import Process
from kernelsight.events.process_exit import ProcessExit
from kernelsight.events.service import ServiceEdge
from kernelsight.events.stack import Stack
from kernelsight.events.syscalls import Syscall
from kernelsight.events.tcp import TcpListener
from kernelsight.linux.stacks import File, Frames, decoded, encoded

NOW = 1_800_000_000_000_000_000
OURS = {70: "karag", 71: "miten"}
SECRET = "payroll"


def one_scrubbed(event):
    [scrubbed_event] = scrubbed([event], OURS)
    return scrubbed_event


@pytest.mark.parametrize(
    ("event", "column", "expected"),
    [
        (Process(NOW, pid=70, comm="karag", exe="/usr/bin/python3"), "exe", "/usr/bin/python3"),
        (Process(NOW, pid=70, comm="karag", exe=f"/home/me/{SECRET}"), "exe", None),
        (Process(NOW, pid=9, comm=SECRET, exe="/usr/bin/python3"), "exe", None),
        (Process(NOW, pid=9, comm=SECRET), "comm", "p9"),
        (Process(NOW, pid=9, comm="kworker/0:1"), "comm", "kworker/0:1"),
        (PendingWait(NOW, pid=70, comm="karag", peer_pid=8, peer_comm=SECRET), "peer_comm", "p8"),
        (PendingWait(NOW, pid=70, comm="karag", peer_pid=71, peer_comm="miten"), "peer_comm", "miten"),
        (ProcessExit(NOW, parent_pid=7, parent_comm=SECRET, comm="karag"), "parent_comm", "p7"),
        (ServiceEdge(NOW, pid=9, comm="x", client_address="93.184.216.34"), "client_address", "192.0.2.1"),
        (ServiceEdge(NOW, pid=9, comm="x", client_address="10.1.2.3"), "client_address", "10.1.2.3"),
        (TcpListener(NOW, address="2606:2800::1", port=80), "address", "2001:db8::1"),
        (TcpListener(NOW, address="127.0.0.1", port=80), "address", "127.0.0.1"),
        (ServiceEdge(NOW, pid=9, comm="x", address=f"/run/{SECRET}.sock"), "address", "/other-0"),
        (Cgroup(NOW, cgroup=f"/{SECRET}.slice"), "cgroup", "/other-0"),
        (Cgroup(NOW, cgroup="/faultbench-7-karag"), "cgroup", "/faultbench-7-karag"),
        (Filesystem(NOW, mount_point=f"/srv/{SECRET}", device="server:/x"), "device", "/other-1"),
    ],
)
def test_what_is_not_ours_has_a_stand_in(event, column, expected):
    assert getattr(one_scrubbed(event), column) == expected
    assert SECRET not in str(one_scrubbed(event))


def test_a_program_keeps_its_stand_in():
    events = [Process(NOW, pid=9, comm=SECRET), Process(NOW, pid=10, comm=SECRET), Process(NOW, pid=11, comm="other")]
    assert [event.comm for event in scrubbed(events, OURS)] == ["p9", "p9", "p11"]


def test_what_ended_before_anybody_looked_is_known_by_its_parent_or_by_the_name_that_it_was_given():
    ends = [
        ProcessExit(NOW, parent_pid=70, parent_comm="karag", comm="sleep", pid=90, count=1, failed=0),
        ProcessExit(NOW, parent_pid=8, parent_comm=SECRET, comm=SECRET, pid=91, count=1, failed=1),
        ProcessExit(NOW, parent_pid=8, parent_comm=SECRET, comm="renix", pid=92, count=1, failed=1),
    ]
    known = with_children(ends, OURS)
    assert known == {**OURS, 90: "sleep"}
    assert [end.comm for end in scrubbed(ends, known, frozenset({"renix"}))] == ["sleep", "p8", "renix"]


def test_what_the_kernel_said_before_a_recording_is_left_out():
    said = [KernelMessage(NOW, message_kind="io_error", device="loop0", earlier=earlier) for earlier in (True, False)]
    assert [event.earlier for event in scrubbed(said, OURS)] == [False]


def test_stacks_of_others_and_single_calls_of_others_are_left_out():
    frames = encoded(
        Frames((File(f"/home/me/{SECRET}/lib.so", "ab12"), File("/usr/lib/libc.so.6", "cd34")), ((0, 16), (1, 32)))
    )
    ours, others = (Stack(NOW, stack_id=1, space="user", pid=pid, frames=frames) for pid in (70, 9))
    [kept] = scrubbed([ours, others, Syscall(NOW, pid=9, comm=SECRET, syscall_name="read")], OURS)
    assert [file.path for file in decoded(kept.frames).files] == ["lib.so", "/usr/lib/libc.so.6"]


def test_a_column_that_is_not_known_is_left_out_and_said(capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.faultbench.scrubbing._WORDS", set())
    assert one_scrubbed(Syscall(NOW, pid=70, comm="karag", syscall_name="read")).syscall_name is None
    assert "syscall.syscall_name is left out of the recording" in capsys.readouterr().err


def test_every_column_of_the_recorded_cases_is_known(capsys):
    for case in recorded()[::10]:
        events = case.events()
        assert len(list(scrubbed(events, {}))) <= len(events)
    assert capsys.readouterr().err == ""
