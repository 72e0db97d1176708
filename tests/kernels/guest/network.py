"""Packets that are lost, and sockets, each in a network namespace of its own."""

from __future__ import annotations

import json
import subprocess
from functools import cache

from observed import Observed, observe, within

from guest import CHECKS, PROGRAMS, check
from kernelsight.collectors.base import Registered
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.service import ServiceEdge, ServiceStats

IN_OWN_NETWORK = ("unshare", "-n", "python3")
LOOPBACK = "127.0.0.1"

Row = dict[str, object]


def lose(entry: Registered, program: str, how: str) -> Observed:
    """Lose packets while the collector watches."""
    return observe([entry.factory], *IN_OWN_NETWORK, PROGRAMS / program, how, LOOPBACK)


@check("tcp_retransmit_event")
def segments_that_are_sent_again_are_counted_exactly(entry: Registered) -> None:
    observed = lose(entry, "lossy_tcp.py", "data")
    client = observed.one_said("client")
    events = [event for event in observed.events if client.ends[1] in (event.sport, event.dport)]
    assert sum(event.segments for event in events) == observed.one_said("sent again").segments >= 2, events
    assert {(e.saddr, e.sport, e.daddr, e.dport) for e in events} == {tuple(client.ends)}, events
    assert {(e.state, e.pid, e.comm) for e in events} == {("established", client.pid, "python3")}, events
    assert observed.lost == 0


@check("packet_drop")
def dropped_packets_are_counted_with_their_reason(entry: Registered) -> None:
    for how, reason in (("filter", "NETFILTER_DROP"), ("closed", "NO_SOCKET"), ("full", "SOCKET_RCVBUFF")):
        observed = lose(entry, "drops.py", how)
        interface, said = observed.one_said("interface").name, observed.one_said("dropped")
        events = [event for event in observed.events if event.interface_name == interface and event.reason == reason]
        assert sum(event.count for event in events) == said.packets > 0, (how, said, observed.events)
        assert all(event.location for event in events), events
        assert observed.lost == 0


@check("service")
def services_are_what_their_clients_say(entry: Registered) -> None:
    observed = observe([entry.factory], *IN_OWN_NETWORK, PROGRAMS / "services.py", "service", "own-network")
    said = observed.one_said("scene")
    stats = [row for row in observed.of(ServiceStats) if row.pid == said.server]
    edges = [row for row in observed.of(ServiceEdge) if row.pid == said.client]
    for rows in (stats, edges):
        # Two CPUs that are emulated take so long for a few steps that what is counted meanwhile may get lost.
        assert within(sum(row.answers or 0 for row in rows), said.requests, slack=2), rows
        busiest = max(rows, key=lambda row: row.latency_count or 0)
        assert within(busiest.latency_p50_us / 1000, said.median_ms, share=0.5, slack=3), (said, busiest)
    assert observed.lost == 0
    observed = observe([entry.factory], *IN_OWN_NETWORK, PROGRAMS / "services.py", "unix-silent", "own-network")
    said = observed.one_said("scene")
    stuck = max(observed.of(ServiceStats), key=lambda row: row.oldest_unanswered_ms or 0)
    assert stuck.oldest_unanswered_ms > 1000, observed.events
    assert (stuck.oldest_pid, stuck.oldest_client_pid) == (said.server, said.client), stuck


@check("pending_wait")
def a_request_without_an_answer_names_both_ends(entry: Registered) -> None:
    observed = observe([entry.factory], *IN_OWN_NETWORK, PROGRAMS / "services.py", "silent", "own-network")
    said = observed.one_said("scene")
    waits = [row for row in observed.of(PendingWait) if row.pid == said.client and row.peer_pid == said.server]
    assert max(row.waited_ms or 0 for row in waits) > 1000, observed.events
    assert {(row.waits_for, row.transport) for row in waits} == {("answer", "tcp")}, waits
    assert observed.lost == 0


@cache
def sockets() -> dict[str, dict[str, list[Row]]]:
    """Make sockets in every state; what every source of every collector of sockets says of them."""
    command = (
        "unshare",
        "-n",
        "sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "sh",
        "python3",
        CHECKS / "socket_states.py",
    )
    said: dict[str, dict[str, list[Row]]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[
        "said"
    ]
    return said


def agree(mine: list[Row], theirs: list[Row]) -> bool:
    """Whether two sources say the same, where both say something."""
    return len(mine) == len(theirs) > 0 and all(
        one[column] == other[column]
        for one, other in zip(mine, theirs, strict=True)
        for column in one
        if one[column] is not None and other[column] is not None
    )


@check("tcp")
@check("udp_socket")
@check("socket_owner")
def sockets_are_what_proc_says(entry: Registered) -> None:
    said = sockets()[entry.name]
    # /proc tells less of what a connection waits for, and so shows other connections than the kernel's tables do.
    mine, theirs = (
        [row for row in said[source] if row["kind"] != "TcpConnection"] for source in (entry.source, "procfs")
    )
    assert agree(mine, theirs), (mine, theirs)
    if entry.name == "tcp":
        closed = [row for row in said[entry.source] if row.get("waits_for") == "window"]
        assert closed, said[entry.source]
