"""All sources of socket events agree on sockets in every state, in a network namespace of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

STATES = {
    "established": 20,
    "syn_sent": 2,
    "syn_recv": 2,
    "fin_wait1": 2,
    "fin_wait2": 8,
    "time_wait": 2,
    "close": 0,
    "close_wait": 4,
    "last_ack": 2,
    "listen": 6,
    "closing": 2,
}


@pytest.fixture(scope="module")
def said():
    if shutil.which("ip") is None:
        pytest.skip("needs ip, to bring up loopback in a network namespace of its own")
    program = Path(__file__).with_name("socket_states.py")
    command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, str(program)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


def rows(said, name, source, kind):
    return [row for row in said["said"][name][source] if row["kind"] == kind]


@pytest.mark.parametrize("source", ["bpf", "sock_diag", "procfs"])
def test_every_state_is_counted(said, source):
    (row,) = rows(said, "tcp", source, "Tcp")
    assert {state: row[state] for state in STATES} == STATES


@pytest.mark.parametrize("source", ["sock_diag", "procfs"])
def test_listeners_are_the_same_and_have_their_owner(said, source):
    mine, others = (rows(said, "tcp", one, "TcpListener") for one in ("bpf", source))
    assert [row["accept_queue"] for row in mine] == [2, 2, 0, 0, 0, 0]
    assert {row["pid"] for row in mine} == {said["pid"]}
    assert {row["address"] for row in mine} == {"127.0.0.1", "::1"}
    lacking = {"pid", "comm"} | ({"backlog"} if source == "procfs" else set())
    assert [without(row, lacking) for row in mine] == [without(row, lacking) for row in others]


def test_owners_have_the_same_sockets(said):
    mine, others = (
        [row for row in rows(said, "socket_owner", source, "SocketOwner") if row["pid"] == said["pid"]]
        for source in ("bpf", "procfs")
    )
    assert mine == others
    (row,) = mine
    assert (row["established"], row["close_wait"], row["syn_sent"], row["listening"]) == (16, 4, 2, 6)
    # Owned: FIN_WAIT1, CLOSING and LAST_ACK, and those in FIN_WAIT2 that were shut down and not closed.
    assert row["other"] == 12
    assert row["receive_queue_bytes"] > 2000
    assert row["send_queue_bytes"] > 0


def test_datagrams_that_nobody_reads_are_the_same(said):
    mine, others = (rows(said, "udp_socket", source, "UdpSocket") for source in ("bpf", "procfs"))
    lacking = {"pid", "comm", "receive_buffer_bytes"}
    assert [without(row, lacking) for row in mine] == [without(row, lacking) for row in others]
    assert len(mine) == 4  # of six: one of each family never got anything
    assert {row["pid"] for row in mine} == {said["pid"]}
    for row in mine[:2]:
        assert 50 > row["drops"] > 0
        assert row["receive_queue_bytes"] <= row["receive_buffer_bytes"] == 8192
    assert [row["drops"] for row in mine[2:]] == [0, 0]


def without(row, columns):
    return {name: value for name, value in row.items() if name not in columns}
