"""What TCP sends again is seen as often as the kernel counts it, with the ends, the state and the owner."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from observed import observe
from own_network import in_own_network

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.place import plain_address as address
from kernelsight.collectors.bpf.tcp_retransmit_event import TcpRetransmits

LOOPBACK = pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])


def lose(how, loopback):
    """Lose segments while the collector watches."""
    return observe([TcpRetransmits], *in_own_network("lossy_tcp.py", how, loopback))


def between(observed, port):
    """The events of connections with this port: those of other namespaces are not ours."""
    return [event for event in observed.events if port in (event.sport, event.dport)]


@pytest.mark.root
@LOOPBACK
def test_data_sent_again_is_seen_as_often_as_the_kernel_counts_it(loopback):
    observed = lose("data", loopback)
    client = observed.one_said("client")
    events = between(observed, client.ends[1])
    assert sum(event.segments for event in events) == observed.one_said("sent again").segments >= 2
    assert {(e.saddr, e.sport, e.daddr, e.dport) for e in events} == {tuple(client.ends)}
    assert {(e.state, e.pid, e.comm) for e in events} == {("established", client.pid, Path(sys.executable).name)}
    assert all(observed.began_ns < event.timestamp < observed.ended_ns for event in events)
    assert observed.lost == 0


@pytest.mark.root
def test_an_attempt_that_sent_nothing_is_none():
    observed = lose("refused", "127.0.0.1")
    events = between(observed, observed.one_said("client").ends[1])
    assert sum(event.segments for event in events) == observed.one_said("sent again").segments
    assert observed.one_said("sent again").failed > 0


@pytest.mark.root
def test_a_socket_that_was_closed_belongs_to_nobody():
    observed = lose("close", "127.0.0.1")
    client = observed.one_said("client")
    events = between(observed, client.ends[1])
    assert sum(event.segments for event in events) == observed.one_said("sent again").segments >= 2
    assert {(event.state, event.pid, event.comm) for event in events} == {("fin_wait1", None, None)}


@pytest.mark.root
@LOOPBACK
def test_both_sides_of_a_handshake_are_seen_with_their_owners(loopback):
    observed = lose("connect", loopback)
    client, server = observed.one_said("client"), observed.one_said("server")
    events = between(observed, client.ends[1])
    assert len(events) == observed.one_said("sent again").syns == observed.one_said("sent again").segments >= 3
    syns, answers = ([e for e in events if e.sport == port] for port in (client.ends[1], client.ends[3]))
    assert len(syns) + len(answers) == len(events)
    assert {(event.state, event.pid) for event in syns} == {("syn_sent", client.pid)}
    assert {(event.state, event.pid) for event in answers} == {("syn_recv", server.pid)}
    assert {(event.saddr, event.daddr) for event in events} == {(loopback, loopback)}


@pytest.mark.root
@pytest.mark.slow
def test_in_a_storm_what_is_not_recorded_is_counted():
    with closing(TcpRetransmits(Host())) as collector:
        # Nobody reads meanwhile, as within a second of a heavier storm.
        storm = in_own_network("lossy_tcp.py", "storm", "127.0.0.1")
        output = subprocess.run(storm, stdout=subprocess.PIPE, check=True, timeout=60).stdout
        server, sent_again = (json.loads(line) for line in output.splitlines())
        segments = sent_again["segments"]
        events = [event for event in collector.drain(int) if event.dport == server["port"]]
        lost = collector.lost
    assert len(events) > 2500
    assert lost > 0
    assert segments <= len(events) + lost < segments + 100  # others may lose some, too


def test_an_ipv4_peer_of_an_ipv6_socket_is_shown_as_one():
    assert address(2, bytes([127, 0, 0, 1]) + bytes(12)) == "127.0.0.1"
    assert address(10, bytes(15) + b"\x01") == "::1"
    assert address(10, bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 7])) == "10.0.0.7"
