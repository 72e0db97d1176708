"""UDP sockets that do not keep up: recorded text, real ones, and which are worth a row."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import Moments
from recordings import NOW, TREES

from kernelsight.collectors.base import Host, open_best, registered
from kernelsight.collectors.bpf.udp_socket import UdpFromIterator
from kernelsight.collectors.procfs.udp_socket import UdpFromProc, parse_proc_udp
from kernelsight.collectors.udp import Receiver, UdpEvents
from kernelsight.errors import SourceUnavailableError

S = 1_000_000_000
RECORDED = TREES / "linux-6.18/proc/net"


def receiver(port=53, queue=0, drops=0):
    return Receiver("127.0.0.1", port, port, queue, drops, None)


@pytest.mark.parametrize(("name", "address"), [("udp", "127.0.0.1"), ("udp6", "::1")])
def test_recorded_sockets(name, address):
    found = {one.port: one for one in parse_proc_udp((RECORDED / name).read_bytes()) if one.port in range(5000, 5003)}
    assert {one.address for one in found.values()} == {address}
    assert [found[port].drops > 0 for port in sorted(found)] == [True, False, False]
    assert [found[port].receive_queue > 0 for port in sorted(found)] == [True, True, False]
    assert all(one.inode for one in found.values())


@pytest.mark.parametrize("source", [UdpFromIterator, UdpFromProc])
def test_a_reader_that_is_too_slow_is_seen_until_it_has_caught_up(source):
    try:
        moments = Moments()
        collector = source(Host(monotonic_ns=moments))
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    with (
        closing(collector),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as slow,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.bind(("127.0.0.1", 0))

        def row(now):
            return next((e for e in collector.collect(moments.at(now)) if e.port == slow.getsockname()[1]), None)

        def send(count):
            for _ in range(count):
                sender.sendto(bytes(500), slow.getsockname())

        def read():
            received = 0
            slow.setblocking(False)
            try:
                while slow.recv(1000):
                    received += 1
            except BlockingIOError:
                return received

        assert row(NOW) is None
        send(30)
        first = row(NOW + S)
        assert first.receive_queue_bytes > 500
        assert first.drops + read() == 30
        emptied = row(NOW + 2 * S)
        assert (emptied.receive_queue_bytes, emptied.drops) == (0, first.drops)
        assert row(NOW + 3 * S) is None
        assert row(NOW + 12 * S).drops == first.drops  # the inventory
        if source is UdpFromIterator:
            assert (first.pid, emptied.pid) == (os.getpid(), os.getpid())
            assert first.receive_buffer_bytes == 8192


def test_what_drops_now_comes_first_and_what_never_did_is_left_out():
    events = UdpEvents()
    assert [row.port for row in events.choose(NOW, [receiver(1, drops=5), receiver(2), receiver(3, queue=9)])] == [1, 3]
    rows = events.choose(NOW + S, [receiver(1, drops=5), receiver(2, drops=1), receiver(3, queue=9)])
    assert [row.port for row in rows] == [2, 3]
    assert events.lacks([receiver(1, drops=5)])
    assert not events.lacks([receiver(3)])
    rows = events.choose(NOW + 2 * S, [receiver(1, drops=5), receiver(2, drops=1), receiver(3)])
    assert [row.port for row in rows] == [3]
    assert not events.lacks([])


def test_the_worst_are_kept_when_there_are_too_many():
    rows = UdpEvents().choose(NOW, [receiver(port, drops=port) for port in range(1, 1000)])
    assert len(rows) == 64
    assert min(row.drops for row in rows) == 936


def test_the_iterator_comes_first_where_it_can_run_and_proc_on_a_recorded_tree():
    assert [entry.source for entry in registered()["udp_socket"]] == ["bpf", "procfs"]
    entry, collector = open_best("udp_socket", Host(proc=TREES / "linux-6.18/proc"))
    collector.close()
    assert entry.source == "procfs"


@given(st.binary(max_size=300))
def test_damaged_tables_are_refused(text):
    with pytest.raises(SourceUnavailableError, match="/proc/net/udp"):
        parse_proc_udp(text)


@given(st.data())
def test_changed_tables_are_refused_or_understood(data):
    text = (RECORDED / "udp").read_bytes()
    at = data.draw(st.integers(0, len(text)))
    changed = text[:at] + data.draw(st.binary(max_size=20)) + text[at + data.draw(st.integers(0, 20)) :]
    try:
        sockets = parse_proc_udp(changed)
    except SourceUnavailableError:
        return
    assert all(0 <= one.receive_queue < 2**63 for one in sockets)
