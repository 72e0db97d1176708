"""Listeners whose backlog is taken by connections that nobody completes, and ones that are no network's."""

from __future__ import annotations

from scenes import END, FROM, LENGTH, SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.scheduler import Wait
from kernelsight.events.tcp import TcpRetransmitEvent


def named(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return [(one.fault, one.culprit.name, sorted({victim.name for victim in one.victims})) for one in found.findings]


def again(pid, comm, *, state, sport, dport, peer):
    for second in range(FROM, LENGTH):
        yield TcpRetransmitEvent(
            START + second * SECOND + pid, saddr="10.0.0.1", sport=sport, daddr=f"10.0.0.{peer}", dport=dport,
            state=state, comm=comm, pid=pid, segments=1, interface_name="near0",
        )  # fmt: skip


def answers(peers):
    for peer in range(peers):
        yield from again(70, "shop", state="syn_recv", sport=443, dport=5000 + peer, peer=peer)


def test_a_listener_that_answers_many_that_never_go_on_lets_others_wait(tmp_path):
    buyer = again(80, "buyer", state="syn_sent", sport=9, dport=443, peer=1)
    assert named(stored(tmp_path / "db", [*answers(40), *buyer])) == [("listen_overflow", "shop", ["buyer"])]


def test_half_open_connections_for_which_nobody_else_is_refused_are_no_fault(tmp_path):
    assert named(stored(tmp_path / "db", answers(40))) == []


def test_a_few_answers_that_were_lost_are_no_flood(tmp_path):
    buyer = again(80, "buyer", state="syn_sent", sport=9, dport=443, peer=1)
    assert "listen_overflow" not in [fault for fault, *_ in named(stored(tmp_path / "db", [*answers(3), *buyer]))]


def connects(pid, waker, wait_ms, every_s=1):
    for second in range(FROM, LENGTH, every_s):
        yield Wait(
            START + second * SECOND + 6, pid=pid, comm="proxy", waker_pid=waker, waker_comm="worker" if waker else None,
            waits_in="connect", state="interruptible", count=1, wait_ns=wait_ms * 1_000_000, runqueue_ns=0,
        )  # fmt: skip


def test_who_waits_to_connect_until_a_process_accepts_another_one_waits_for_that_process(tmp_path):
    rows = [*connects(20, 70, 700), *connects(21, 70, 3000, every_s=3)]
    assert named(stored(tmp_path / "db", rows)) == [("listen_overflow", "worker", ["proxy"])]


def test_a_moment_in_line_for_a_local_socket_hurts_nobody(tmp_path):
    assert named(stored(tmp_path / "db", connects(20, 70, 20))) == []


def test_who_waits_for_the_answer_of_another_machine_waits_for_no_listener_here(tmp_path):
    assert named(stored(tmp_path / "db", connects(20, 0, 900))) == []
