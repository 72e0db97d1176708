"""Owners of TCP sockets: recorded kernels, and real connections of a process of this test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import Moments

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.socket_owner import SocketOwnersFromFiles
from kernelsight.collectors.procfs.socket_owner import Socket, SocketOwnerCollector, match, parse_sockets
from kernelsight.errors import SourceUnavailableError

FIXTURES = Path(__file__).parents[1] / "fixtures/proc"
RECORDED = sorted(path for path in FIXTURES.glob("linux-*") if list(path.glob("proc/[0-9]*/fd")))
NOW = 1_800_000_000_000_000_000
S = 1_000_000_000
SOURCES = (SocketOwnersFromFiles, SocketOwnerCollector)


def opened(source, moments=time.monotonic_ns):
    try:
        return source(Host(monotonic_ns=moments))
    except SourceUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_recorded_sockets_have_their_owners(path):
    collector = SocketOwnerCollector(Host(proc=path / "proc"))
    events = list(collector.collect(NOW))
    collector.close()
    assert sum(event.listening for event in events) == 1
    assert sum(event.established for event in events) == 4
    assert {event.other + event.close_wait + event.syn_sent for event in events} == {0}
    descriptors = {int(folder.parent.name) for folder in path.glob("proc/[0-9]*/fd")}
    assert {event.pid for event in events} <= descriptors


@pytest.mark.parametrize("source", SOURCES)
def test_real_sockets_are_counted_by_state_and_queue(source):
    moments = Moments()
    collector = opened(source, moments)
    program = (
        "import socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0)); print(server.getsockname()[1], flush=True)\n"
        "first = server.accept()[0]; second = server.accept()[0]; print('accepted', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        port = int(child.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as open_one:
            socket.create_connection(("127.0.0.1", port)).close()  # the child does not close its end: it leaks
            open_one.sendall(b"x" * 1000)
            assert child.stdout.readline() == b"accepted\n"
            deadline, moment = time.monotonic() + 20, NOW
            while True:
                moment += 100 * S
                events = {event.pid: event for event in collector.collect(moments.at(moment))}
                event = events[child.pid]
                if event.close_wait:
                    break
                assert time.monotonic() < deadline
            assert (event.established, event.close_wait, event.listening, event.syn_sent) == (1, 1, 1, 0)
            # The byte stream's end counts as one in the queue of the socket that was closed on the other side.
            assert event.receive_queue_bytes in (1000, 1001)
            assert event.comm.startswith("python")
            assert events[os.getpid()].established >= 1
        child.stdin.close()
    collector.close()


@pytest.mark.parametrize("source", SOURCES)
def test_a_process_that_closed_its_sockets_is_shown_once_without(source):
    moments = Moments()
    collector = opened(source, moments)
    with socket.create_server(("127.0.0.1", 0)):
        assert os.getpid() in {event.pid for event in collector.collect(NOW)}
    after = {event.pid: event for event in collector.collect(moments.at(NOW + 1000 * S))}
    assert after[os.getpid()].listening == 0
    assert os.getpid() not in {event.pid for event in collector.collect(moments.at(NOW + 2000 * S))}
    collector.close()


@pytest.mark.parametrize("step_ns", [0, -3600 * S, 3600 * S], ids=["not set", "set back", "set ahead"])
@pytest.mark.parametrize("source", SOURCES)
def test_it_looks_every_ten_seconds(source, step_ns):
    moments = Moments()
    collector = opened(source, moments)
    with socket.create_server(("127.0.0.1", 0)):
        assert list(collector.collect(NOW))
        moments.step_ns = step_ns
        assert not list(collector.collect(moments.at(NOW + 9 * S)))
        assert list(collector.collect(moments.at(NOW + 1000 * S)))
    collector.close()


def test_a_socket_with_two_descriptors_counts_once():
    sockets = {b"5": Socket(b"", 1, 20, 10, b"5", b"", 0, 0), b"6": Socket(b"", 10, 128, 3, b"6", b"", 0, 0)}
    owned = match(["socket:[5]", "socket:[5]", "socket:[6]", "socket:[7]", "/dev/null"], sockets)
    assert (owned.established, owned.listening, owned.receive_queue, owned.send_queue) == (1, 1, 10, 20)
    assert match(["socket:[7]", "pipe:[5]"], sockets) is None


@given(st.binary(max_size=300))
def test_damaged_tables_are_refused(text):
    with pytest.raises(SourceUnavailableError, match="/proc/net/tcp"):
        parse_sockets(text)
