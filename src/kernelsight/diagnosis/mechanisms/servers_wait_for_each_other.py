"""Servers of one program that queue for a lock among them while their clients wait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.lock_contention import LOCK_CONTENTION
from kernelsight.diagnosis.lock_checks import FEW_GO_ON
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.peers import Peers, peers
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import shown
from kernelsight.diagnosis.window import Window
from kernelsight.events.scheduler import Wait

CLIENTS_WAIT_SHARE = Threshold(
    0.8,
    "share of the time that servers wait for each other",
    because="calculated: a server that waits for a lock answers nobody meanwhile, so its client waits all of the time; "
    "the rest is for the accuracy of where waits begin",
)
OWN_WAIT_SHARE = Threshold(
    0.3,
    "share of the time",
    because="judged: a server that has the lock and waits for its client this long keeps the lock for that client",
)


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers of one program in a stretch in which one of them always waited for another one."""

    peers: Peers
    duration: Duration
    servers: int
    """How many wait."""
    waiting: float
    """How many waited for another one, on average."""
    ran: float
    """CPUs that those that wait used, on average."""
    clients_wait_share: float
    """Of the time that servers wait for each other, the share in which their clients wait for them."""


def measure(window: Window) -> Iterable[Servers]:
    """Each program and stretch in which one server always waited for another one."""
    for servers in window.once(peers):
        run, pids = servers.run, servers.pids
        uses = [use for use in window.once(cpu_use) if use.pid in pids]
        yield Servers(
            peers=servers,
            duration=duration_of(window, run),
            servers=len(pids),
            waiting=servers.waiting,
            ran=sum(use.ran_in(run) for use in uses) / run.seconds,
            clients_wait_share=servers.explained,
        )


def explain(window: Window, suspect: Servers) -> Explanation:
    """The server that let others wait longest has the lock, or keeps it for its client."""
    servers, run = suspect.peers, suspect.peers.run
    culprit = named(window, servers.culprit)
    clients = sorted(servers.asking, key=lambda edge: -edge.waited_in(run))
    suffering = [*dict.fromkeys(edge.pid for edge in clients), *sorted(servers.pids)]
    ended = [edge for edge in servers.edges if str(edge.waker_pid) == culprit.id]
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=tuple(named(window, pid) for pid in suffering[:5]),
        does="keeps a lock that the other servers of its program want",
        detail=f"{suspect.waiting:.1f} of them wait on average",
        harm=f"waits {of_every_second(clients[0].waited_in(run), run.seconds)} for answers"
        if clients
        else "waits for that lock",
        suffering_s=suspect.waiting * run.seconds,
        path=path(
            claim(
                f"clients such as {clients[0].comm} ({clients[0].pid}) waited for {culprit.name}",
                shown(window, clients, run),
            )
            if clients
            else None,
            claim(
                f"{suspect.servers} processes {culprit.name} waited {suspect.waiting * run.seconds:.0f} s in "
                f"{run.seconds} s for each other",
                shown(window, servers.edges, run),
                shown(window, servers.edges, run, Wait.count),
            ),
            claim(f"{culprit.name} ({culprit.id}) ended most of these waits", shown(window, ended, run)),
            _waits_itself(window, servers, culprit),
        ),
        refuted_by="they wait as long when each works on data of its own",
        outlook="more clients, or more CPUs, make it no faster",
        actions=(LOOK.on(culprit, f"see which lock {culprit.name} has, and let it release the lock sooner"),),
    )


def _waits_itself(window: Window, servers: Peers, culprit: Entity) -> Step | None:
    """The claim that the culprit keeps the lock while it waits for its own client."""
    run = servers.run
    client = max(servers.asked_by(servers.culprit), key=lambda edge: edge.waited_in(run), default=None)
    if client is None or client.waited_in(run) < OWN_WAIT_SHARE * run.seconds:
        return None
    whom = named(window, client.waker_pid or 0)
    return claim(
        f"{culprit.name} ({culprit.id}) itself waited {client.waited_in(run):.1f} s for its client {whom.name} "
        f"({whom.id})",
        shown(window, [client], run),
    )


MECHANISM = Mechanism[Servers](
    fault=LOCK_CONTENTION,
    summary="One of several server processes has a lock, such as that of a row of a database. Others wait until it is "
    "released, and their clients wait for them.",
    measure=measure,
    checks=(
        Check(
            id="clients_wait",
            says="while they wait for each other, clients wait for them",
            holds=lambda suspect: suspect.clients_wait_share >= CLIENTS_WAIT_SHARE,
            supports=3.0,
            refutes=6.0,
            because="judged: the call in which a server waits for a lock is the one in which it waits for work "
            "(PostgreSQL: src/backend/storage/lmgr/README); a client that waits for it meanwhile tells the two apart, "
            "and without one it may have nothing to do",
        ),
        FEW_GO_ON,
        Check(
            id="several_wait",
            says="several servers wait",
            holds=lambda suspect: suspect.servers > 1,
            supports=1.0,
            refutes=1.0,
            because="judged: a single server that waits for another one may have asked it for something",
        ),
        LASTS,
    ),
    explain=explain,
)
