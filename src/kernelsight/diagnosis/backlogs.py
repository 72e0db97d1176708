"""Listeners that let others wait for other reasons than connections that they have not accepted yet over TCP."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.packets import LASTS_S, owners, sent_again
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.scene import CounterDelta, Run, Scene, grouped_by, samples_of
from kernelsight.diagnosis.waiting import LEAST_SHARE, Edge, shown, waiting
from kernelsight.events.network import TcpListener, TcpRetransmit, TcpRetransmitEvent
from kernelsight.events.scheduler import Wait

_MANY = 10
"""Half-open connections of different peers: fewer may be ones whose answers were lost."""


def half_open(scene: Scene) -> Iterator[Candidate]:
    """The listeners whose backlog is taken by connections that many ask for and nobody completes.

    Each such is answered again and again (net.ipv4.tcp_synack_retries). With net.ipv4.tcp_syncookies nobody else is
    refused for it, and nothing is wrong.
    """
    answered = [row for row in scene.rows(TcpRetransmitEvent) if row.state == "syn_recv" and row.pid]
    for (pid, port), rows in grouped_by(answered, lambda row: (row.pid, row.sport)).items():
        peers = {(row.daddr, row.dport) for row in rows}
        if len(peers) < _MANY:
            continue
        culprit = Entity("process", str(pid), str(rows[-1].comm))
        asked = asked_again(scene, port)
        here = {str(row.pid) for row in scene.rows(TcpListener)}
        dropped = [delta for delta in refused(scene) if delta.of(TcpRetransmit.listen_drops)]
        counted = samples_of(dropped) if culprit.id in here else []
        data = [row for row in scene.once(sent_again) if port in (row.sport, row.dport)]
        candidate = Candidate("listen_overflow", culprit, int(rows[0].timestamp), callers(scene, port))
        candidate.check("many ask for connections and complete none", holds=True, speaks_for=1.5, speaks_against=0.0)
        candidate.check("others ask in vain", bool(asked or counted), 2.0, 4.0)
        candidate.check("what is sent over its connections arrives", len(data) < len(rows), 0.5, 2.0)
        candidate.step(
            f"{sum(row['segments'] or 1 for row in asked)} requests for a connection to port {port} had no answer",
            scene.evidence(asked, TcpRetransmitEvent.segments, "sum"),
        )
        candidate.step(
            "requests for connections were dropped",
            scene.evidence(counted, TcpRetransmit.listen_drops, "increase"),
        )
        candidate.step(
            f"{culprit.name} answers {len(peers)} that do not go on with it, again and again",
            scene.evidence(rows, TcpRetransmitEvent.segments, "sum"),
        )
        candidate.refuted_by = "connections are made as slowly with net.ipv4.tcp_syncookies set"
        candidate.outlook = f"hardly anybody gets a connection to {culprit.name} while they go on asking"
        candidate.actions = (
            Proposal("sysctl", culprit, "set net.ipv4.tcp_syncookies, or raise net.ipv4.tcp_max_syn_backlog"),
            Proposal("look", culprit, f"see who asks for connections to port {port} and completes none, and filter it"),
        )
        yield candidate


def waits_to_connect(scene: Scene) -> Iterator[Candidate]:
    """The listeners that let those who connect to them wait: on this machine, connect(2) sleeps for no other reason.

    One over TCP is put to sleep too, but it is a packet that ends it, and no process (unix(7), net/unix/af_unix.c).
    """
    known = scene.once(processes)
    edges = [edge for edge in scene.once(waiting).edges if edge.waits_in == "connect" and edge.waker_pid]
    by_listener: dict[int, list[Edge]] = {}
    for edge in edges:
        one = known.get(edge.waker_pid or 0)
        if edge.state == "interruptible" and not edge.is_own and not (one and one.is_kernel_thread):
            by_listener.setdefault(edge.waker_pid or 0, []).append(edge)
    for pid, its in by_listener.items():
        seconds = sorted({second for edge in its for second, _ in edge.waited.items()})
        # A wait is counted in the second in which it ends, and may have taken all the time before.
        longest = max(edge.mean_in(Run(seconds[0], seconds[-1])) for edge in its)
        run = Run(max(0, int(seconds[0] - longest)), seconds[-1])
        slowed = [edge for edge in its if edge.waited_in(run) >= LEAST_SHARE * run.seconds]
        if run.seconds < LASTS_S or not slowed:
            continue
        culprit = named(scene, pid)
        victims = tuple(dict.fromkeys(named(scene, edge.pid) for edge in slowed))
        candidate = Candidate("listen_overflow", culprit, scene.at(run.first), victims[:5])
        waited = sum(edge.waited_in(run) for edge in slowed)
        candidate.suffering_s = waited
        candidate.check(
            "who connects to it waits until it accepts another one", holds=True, speaks_for=2.5, speaks_against=0.0
        )
        candidate.check("again and again", len(seconds) > 1, 1.0, 1.5)
        who = ", ".join(sorted({one.name for one in victims})[:3])
        candidate.step(
            f"{who} waited {waited:.1f} s in {run.seconds} s to connect",
            shown(scene, slowed, run),
        )
        candidate.step(
            f"it was {culprit.name} that let them go on, {sum(edge.count_in(run) for edge in slowed):.0f} times",
            shown(scene, slowed, run, Wait.count),
        )
        candidate.refuted_by = f"they wait as long with a longer backlog of {culprit.name}"
        candidate.outlook = "who connects waits, or is told to come again (EAGAIN)"
        candidate.actions = (
            Proposal("look", culprit, f"see why {culprit.name} accepts so slowly; a longer backlog gains time"),
        )
        yield candidate


def refused(scene: Scene) -> list[CounterDelta[TcpRetransmit]]:
    """The samples of TCP in this network namespace before which connections were refused."""
    changes = [change for all_changes in scene.deltas(TcpRetransmit).values() for change in all_changes]
    return [
        change
        for change in changes
        if change.of(TcpRetransmit.listen_overflows) or change.of(TcpRetransmit.listen_drops)
    ]


def callers(scene: Scene, port: int | None) -> tuple[Entity, ...]:
    """Who has to ask again for a connection."""
    return tuple(
        Entity("process", str(pid), comm)
        for pid, comm, _ in owners(asked_again(scene, port), TcpRetransmitEvent.segments)
    )[:5]


def asked_again(scene: Scene, port: int | None) -> list[TcpRetransmitEvent]:
    """The requests for a connection, to a port or to any, that were sent again."""
    rows = scene.rows(TcpRetransmitEvent)
    return [row for row in rows if row.state == "syn_sent" and port in (None, row.dport)]
