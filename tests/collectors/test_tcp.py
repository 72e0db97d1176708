"""TCP sockets: three ways to count them agree on real ones; accept queues are those of real listeners."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from contextlib import ExitStack, closing, suppress

import pytest
from moments import Moments
from recordings import NOW, host

from kernelsight.collectors.base import Host, open_best, registered
from kernelsight.collectors.bpf.tcp import TcpFromTables
from kernelsight.collectors.netlink.tcp import Dump, TcpFromSockDiag, by_difference
from kernelsight.collectors.procfs.tcp import TcpFromProc
from kernelsight.collectors.sockets import Listener, ListenerEvents
from kernelsight.collectors.sockstat import TcpTotals
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.tcp import Tcp, TcpConnection

SECOND = 1_000_000_000


def connections(stack: ExitStack, family: int, address: str, count: int) -> list[tuple[socket.socket, socket.socket]]:
    listener = stack.enter_context(socket.create_server((address, 0), family=family, backlog=count))
    made = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        made.append((client, stack.enter_context(listener.accept()[0])))
    return made


def in_many_states(stack: ExitStack) -> None:
    """Sockets of both families that are established, half closed by either side, in TIME_WAIT, listening, bound."""
    families = [(socket.AF_INET, "127.0.0.1")] + ([(socket.AF_INET6, "::1")] if socket.has_ipv6 else [])
    for family, address in families:
        pairs = connections(stack, family, address, 40)
        for client, _ in pairs[:8]:
            client.close()  # FIN_WAIT2 as a mini-socket, and CLOSE_WAIT
        for client, served in pairs[8:16]:
            client.close()
            served.close()  # TIME_WAIT
        for client, _ in pairs[16:20]:
            client.shutdown(socket.SHUT_WR)  # FIN_WAIT2 with an owner
        stack.enter_context(socket.socket(family)).bind((address, 0))


def opened(stack: ExitStack, source, moments=time.monotonic_ns):
    """A collector; closed with the stack."""
    try:
        collector = source(Host(monotonic_ns=moments))
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    stack.callback(collector.close)
    return collector


def counts(collector) -> tuple:
    event = next(event for event in collector.collect(NOW) if isinstance(event, Tcp))
    return tuple(getattr(event, name) for name in Tcp.__struct_fields__[1:12])


def test_a_dump_the_totals_and_proc_agree():
    with ExitStack() as stack:
        in_many_states(stack)
        ways = [
            TcpFromSockDiag(Host(options={"tcp_many": 10**9})),
            TcpFromSockDiag(Host(options={"tcp_many": 0})),
            TcpFromProc(Host()),
        ]
        for way in ways:
            stack.callback(way.close)
        # Other programs open and close sockets meanwhile: until all three have seen the same.
        deadline = time.monotonic() + 60
        while len({counts(way) for way in ways}) > 1:
            assert time.monotonic() < deadline, [counts(way) for way in ways]
        found = dict(zip(Tcp.__struct_fields__[1:], counts(ways[1]), strict=False))
        assert found["established"] >= 40
        assert found["close_wait"] >= 8
        assert found["fin_wait2"] >= 12
        assert found["time_wait"] >= 8
        assert found["listen"] >= 1


@pytest.mark.parametrize("source", [TcpFromTables, TcpFromSockDiag, TcpFromProc])
def test_connections_that_nobody_accepts_are_the_accept_queue(source):
    with ExitStack() as stack:
        moments = Moments()
        collector = opened(stack, source, moments)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=7))
        port = listener.getsockname()[1]
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))

        def row(now):
            return next(
                (e for e in collector.collect(moments.at(now)) if not isinstance(e, Tcp) and e.port == port), None
            )

        first = row(NOW)
        assert (first.address, first.accept_queue) == ("127.0.0.1", 3)
        assert first.backlog == (None if source is TcpFromProc else 7)
        assert first.pid == (os.getpid() if source is TcpFromTables else None)
        assert row(NOW + SECOND).accept_queue == 3
        for _ in range(3):
            listener.accept()[0].close()
        assert row(NOW + 2 * SECOND).accept_queue == 0  # that it has emptied is worth one more row
        assert row(NOW + 3 * SECOND) is None
        assert row(NOW + 10 * SECOND).accept_queue == 0  # the inventory


def troubled(collector, port: int, now: int) -> list[TcpConnection]:
    rows = [row for row in collector.collect(now) if isinstance(row, TcpConnection)]
    return sorted((row for row in rows if port in (row.sport, row.dport)), key=lambda row: row.is_accepted or False)


def until(collector, port: int, wanted: set[str]) -> list[TcpConnection]:
    """The connections of a port that do not get on, once they wait for all of that, and their owners are known."""
    knows = isinstance(collector, TcpFromTables)
    deadline = time.monotonic() + 30
    while True:
        rows = troubled(collector, port, NOW)
        if {row.waits_for for row in rows} == wanted and all(row.pid for row in rows if knows):
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.05)


@pytest.mark.parametrize("source", [TcpFromTables, TcpFromSockDiag, TcpFromProc])
def test_who_does_not_read_is_told_from_who_waits_until_it_does(source):
    with ExitStack() as stack:
        collector = opened(stack, source)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        writer = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        reader = stack.enter_context(listener.accept()[0])
        assert troubled(collector, port, NOW) == []
        writer.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                writer.send(bytes(65536))
        rows = until(collector, port, {"window", "reader"})
        by_need = {row.waits_for: row for row in rows}
        waits, reads = by_need["window"], by_need["reader"]
        assert (waits.saddr, waits.sport) == writer.getsockname() == (reads.daddr, reads.dport)
        assert (reads.saddr, reads.sport) == reader.getsockname() == (waits.daddr, waits.dport)
        assert (waits.state, waits.inode) == ("established", os.fstat(writer.fileno()).st_ino)
        assert reads.unread_bytes >= 65536
        if source is TcpFromTables:
            assert (waits.is_accepted, reads.is_accepted) == (False, True)
            assert waits.unsent_bytes > waits.send_window_bytes
            assert reads.unread_bytes > reads.receive_window_bytes
            assert waits.pid == reads.pid == os.getpid()
        while reader.recv(1 << 20, socket.MSG_DONTWAIT) and troubled(collector, port, NOW):
            pass
        assert until(collector, port, set()) == []


@pytest.mark.parametrize("source", [TcpFromTables, TcpFromSockDiag, TcpFromProc])
def test_a_request_for_a_connection_that_nobody_answers(source):
    with ExitStack() as stack:
        collector = opened(stack, source)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))  # takes the only place
        asking = stack.enter_context(socket.socket())
        asking.setblocking(False)
        assert asking.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
        (row,) = until(collector, port, {"answer"})
        assert (row.daddr, row.dport, row.state) == ("127.0.0.1", port, "syn_sent")
        assert row.retransmits >= 1
        assert row.pid == (os.getpid() if source is TcpFromTables else None)


def test_the_cheapest_that_can_run_comes_first_and_proc_on_a_recorded_tree():
    assert [entry.source for entry in registered()["tcp"]] == ["bpf", "sock_diag", "procfs"]
    entry, collector = open_best("tcp", Host())
    collector.close()
    assert entry.source in ("bpf", "sock_diag")
    entry, collector = open_best("tcp", host("linux-6.18"))
    collector.close()
    assert entry.source == "procfs"


def test_an_error_of_the_kernel_is_raised_and_old_answers_are_passed_over():
    def answer(kind: int, sequence: int, error: int) -> bytes:
        return struct.pack("=IHHIIi", 20, kind, 0, sequence, 0, error)

    with closing(TcpFromSockDiag(Host())) as collector:
        kernel, user = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with kernel, user, collector._netlink._socket:
            collector._netlink._socket = user
            sequence = collector._netlink._sequence + 1
            kernel.send(answer(2, sequence - 1, -errno.ENOBUFS))  # of the dump before
            kernel.send(answer(2, sequence, -errno.EPERM))
            with pytest.raises(PermissionError, match="sock_diag"):
                list(collector.collect(NOW))


def test_a_difference_that_two_moments_make_negative_is_none():
    dump = Dump()
    dump.by_state.update({10: 5, 8: 2})
    totals = TcpTotals(in_use=3, orphan=0, time_wait=0, allocated=3, memory_pages=0)
    counted = by_difference(dump, totals)
    assert (counted[1], counted[6], counted[8]) == (0, 0, 2)


def test_the_fullest_listeners_are_kept_when_there_are_too_many():
    listeners = [Listener("::", port, port % 100, 128, port) for port in range(1, 2000)]
    rows = list(ListenerEvents().choose(NOW, listeners))
    assert len(rows) == 64
    assert min(row.accept_queue for row in rows) == 96


@pytest.mark.parametrize("source", [TcpFromTables, TcpFromSockDiag])
def test_a_recorded_tree_has_no_kernel_to_ask(source):
    with pytest.raises(SourceUnavailableError, match="of this machine"):
        source(host("linux-6.18"))


def test_an_option_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="tcp_many"):
        TcpFromSockDiag(Host(options={"tcp_many": "few"}))
