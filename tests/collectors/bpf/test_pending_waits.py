"""Waits that have not ended: real connections, pipes and datagrams of processes of this test, and ends put together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.ends import Ages, End, Sleeper, call_of_the_asked, pending, ticks_per_second, together
from kernelsight.collectors.bpf.pending_wait import PendingWaits
from kernelsight.collectors.bpf.waited_for import descriptors_waited_for
from kernelsight.errors import SourceUnavailableError

NOW = 1_800_000_000_000_000_000
S = 1_000_000_000
RATE = 250
HERE, THERE = bytes([127, 0, 0, 1, *bytes(12)]), bytes([10, 0, 0, 9, *bytes(12)])


@contextmanager
def running(program, *arguments):
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def collector():
    try:
        made = PendingWaits(Host())
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def row_of(collector, matches):
    """The first row that matches, of whichever pass has one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for row in collector.collect(NOW):
            if matches(row):
                return row
        time.sleep(0.2)
    raise AssertionError("no such row within 20 s")


SERVE = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
first, second = server.accept()[0], server.accept()[0]
first.sendall(first.recv(100))
first.recv(100)
second.sendall(second.recv(100))
print("answered", flush=True)
sys.stdin.read()
"""


def test_a_request_without_an_answer_names_both_ends_and_who_else_the_server_waits_for(collector):
    with running(SERVE) as child:
        port = int(child.stdout.readline())
        with (
            socket.create_connection(("127.0.0.1", port)) as asking,
            socket.create_connection(("127.0.0.1", port)) as resting,
        ):
            asking.sendall(b"a question")
            assert asking.recv(100)
            asking.sendall(b"another one")
            resting.sendall(b"mine")
            assert resting.recv(100)
            assert child.stdout.readline() == b"answered\n"
            mine = (os.getpid(), child.pid, "127.0.0.1", port)
            answer = row_of(
                collector,
                lambda row: (row.pid, row.peer_pid, row.address, row.port) == mine and row.peer_waits_in == "read",
            )
            assert answer.waits_for == "answer"
            assert answer.transport == "tcp"
            assert answer.connections == 1
            assert 1000 <= answer.shortest_ms <= answer.waited_ms < 30_000
            request = row_of(collector, lambda row: (row.pid, row.peer_pid) == (child.pid, os.getpid()))
            assert request.waits_for == "request"
            assert (request.address, request.port) == ("127.0.0.1", port)
            assert request.waited_ms < 30_000


def test_a_full_pipe_that_nobody_reads_names_its_reader(collector):
    with running("import time; time.sleep(60)") as reader:
        fd = reader.stdin.fileno()
        os.set_blocking(fd, False)
        with suppress(BlockingIOError):
            while True:
                os.write(fd, bytes(4096))
        row = row_of(collector, lambda row: row.peer_pid == reader.pid)
        assert (row.pid, row.waits_for, row.transport, row.port) == (os.getpid(), "reader", "pipe", None)


@pytest.mark.parametrize("call", ["os.read(fd, 1)", "select.select([fd], [], [])", "poll.poll()"])
@pytest.mark.parametrize("at_terminal", [True, False])
def test_a_reader_of_a_pipe_that_waits_at_its_terminal(collector, call, at_terminal):
    waits = (
        f"import os, select, sys\nfd = int(sys.argv[1])\npoll = select.poll(); poll.register(fd, select.POLLIN)\n{call}"
    )
    kept, given = os.openpty() if at_terminal else os.pipe()[::-1]
    command = [sys.executable, "-c", waits, str(given)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[given]) as reader:
            try:
                os.set_blocking(reader.stdin.fileno(), False)
                with suppress(BlockingIOError):
                    while True:
                        os.write(reader.stdin.fileno(), bytes(4096))
                row = row_of(
                    collector,
                    lambda row: row.peer_pid == reader.pid and row.peer_waits_at_terminal == int(at_terminal),
                )
                assert row.waits_for == "reader"
            finally:
                reader.kill()
    finally:
        os.close(kept)
        os.close(given)


def test_a_question_over_udp_that_is_not_answered_is_told_while_somebody_waits_for_it(collector):
    ask = (
        "import socket, sys\n"
        "way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "way.connect(('127.0.0.1', int(sys.argv[1]))); way.send(b'?'); way.settimeout(60); way.recv(9)"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with running(ask, port) as child, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as only_sends:
            only_sends.connect(("127.0.0.1", port))
            only_sends.send(b"a figure")
            row = row_of(collector, lambda row: row.transport == "udp" and row.port == port)
            assert (row.pid, row.waits_for, row.address) == (child.pid, "answer", "127.0.0.1")
            rows = [row for row in collector.collect(NOW) if row.transport == "udp" and row.port == port]
            assert os.getpid() not in {row.pid for row in rows}


def test_a_process_that_polls_with_an_address_that_cannot_be_is_passed_over():
    poll = (
        "import ctypes\n"
        "print(flush=True)\n"
        "ctypes.CDLL(None).poll(ctypes.c_void_p(2**64 - 1), ctypes.c_ulong(0), 60_000)"
    )
    with running(poll) as child:
        child.stdout.readline()
        calls = Path(f"/proc/{child.pid}/syscall")
        deadline = time.monotonic() + 20
        while "0xffffffffffffffff" not in calls.read_text():
            assert time.monotonic() < deadline, "it does not poll"
            time.sleep(0.05)
        assert descriptors_waited_for(Path("/proc"), child.pid) == frozenset()


def test_a_server_that_answers_has_no_row(collector):
    echo = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0)); print(server.getsockname()[1], flush=True)\n"
        "one = server.accept()[0]\n"
        "while data := one.recv(100): one.sendall(data)\n"
    )
    with running(echo) as child:
        port = int(child.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as asking:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                asking.sendall(b"?")
                assert asking.recv(9)
                assert not [row for row in collector.collect(NOW) if child.pid in (row.pid, row.peer_pid)]
            end = time.monotonic() + 2  # it rests
            while time.monotonic() < end:
                assert not [row for row in collector.collect(NOW) if child.pid in (row.pid, row.peer_pid)]
                time.sleep(0.2)


@pytest.mark.parametrize("rate", [100, 250, 300, 1000])
@given(uptime_s=st.floats(1, 1e8))
def test_the_rate_of_ticks_follows_from_their_count(rate, uptime_s):
    jiffies = (1 << 32) - 300 * rate + int(uptime_s * rate)
    assert ticks_per_second(jiffies, int(uptime_s * S)) == rate


def end(**values):
    usual = dict.fromkeys(End.__struct_fields__, 0) | {
        "family": socket.AF_INET, "local_address": HERE, "remote_address": HERE, "comm": b"any\0",
    }  # fmt: skip
    return End(**usual | values)


def rows(*ends, moments=(0, 2 * S)):
    ages = Ages()
    for moment in moments:
        ages.update(ends, moment)
    return together(pending(ends, ages, RATE, moments[-1]), Path("/nowhere"), NOW)


@pytest.mark.parametrize(
    ("asleep_s", "call"),
    [
        ([10.0], 1),  # since the request came
        ([8.9], 1),  # it worked on it first, or looked whether all wait for each other
        ([0.1], None),  # a timer wakes it again and again
        ([60.0], None),  # it slept before
        ([60.0, 9.9, 3.0], 2),
    ],
)
def test_the_thread_that_got_a_request_fell_asleep_after_it_came(asleep_s, call):
    threads = [Sleeper(7, int(seconds * S), at) for at, seconds in enumerate(asleep_s, 1)]
    assert call_of_the_asked(threads, 10.0) == call


CLIENT = {"inode": 1, "pid": 10, "local_port": 40000, "remote_port": 80, "reads": 1, "sent_ago": 500}
SERVER = {"inode": 2, "pid": 20, "local_port": 80, "remote_port": 40000, "listens": 1, "reads": 1, "received_ago": 500}


def test_both_ends_of_a_connection_make_one_row():
    (row,) = rows(end(**CLIENT), end(**SERVER))
    assert (row.pid, row.peer_pid, row.waits_for, row.port, row.waited_ms) == (10, 20, "answer", 80, 2000)


def test_an_address_of_ipv4_in_a_socket_of_ipv6_is_the_same():
    mapped = bytes(10) + b"\xff\xff" + HERE[:4]
    server = SERVER | {"family": socket.AF_INET6, "local_address": mapped, "remote_address": mapped}
    (row,) = rows(end(**CLIENT), end(**server))
    assert row.peer_pid == 20


def test_a_client_of_another_machine_is_not_known_and_its_server_is():
    (row,) = rows(end(**SERVER | {"remote_address": THERE}))
    assert (row.pid, row.comm, row.peer_pid, row.waits_for) == (None, None, 20, "answer")


def test_who_only_sends_waits_for_nobody():
    assert not rows(end(**CLIENT | {"oneway": 1}))


def test_waits_of_one_process_for_the_same_are_put_together():
    (row,) = rows(*(end(**CLIENT | {"inode": at, "local_port": at, "sent_ago": 250 * at}) for at in (1, 2, 3)))
    assert (row.connections, row.waited_ms, row.shortest_ms) == (3, 3000, 1000)


def test_a_socket_that_several_processes_have_belongs_to_who_made_it_or_took_it_over():
    client = [end(**CLIENT | {"pid": pid}) for pid in (10, 11)]
    server = [end(**SERVER | {"pid": pid}) for pid in (20, 21)]
    (row,) = rows(*client, *server)
    assert (row.pid, row.peer_pid) == (10, 21)


def test_a_pipe_from_which_something_was_read_in_between_is_not_stuck():
    ages = Ages()
    for moment, tail in ((0, 1), (S, 2)):
        ends = [end(kind=3, inode=5, mark=tail, pid=1, reads=0), end(kind=3, inode=5, mark=tail, pid=2, reads=1)]
        ages.update(ends, moment)
    assert not list(pending(ends, ages, RATE, S))


def test_who_made_a_pipe_for_its_children_and_kept_its_ends_is_neither_its_reader_nor_its_writer():
    ages = Ages()
    ends = [end(kind=3, inode=5, mark=1, pid=pid, reads=reads) for pid, reads in ((1, 0), (1, 1), (2, 0), (3, 1))]
    ages.update(ends, 0)
    [wait] = pending(ends, ages, RATE, 2 * S)
    assert (wait.waiter.pid, wait.peer.pid) == (2, 3)
