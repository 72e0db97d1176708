"""Requests for connections to which nothing answers: neither a connection nor a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kernelsight.diagnosis.backlogs import refused
from kernelsight.diagnosis.connection_table import full_table
from kernelsight.diagnosis.connections import holders, network_of, place_of, stuck
from kernelsight.diagnosis.faults.slow_dependency import SLOW_DEPENDENCY
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.packets import FULL_LISTENER, drops, sent_again
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, moment, runs
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.service import ServiceEdge
from kernelsight.events.tcp import TcpConnection, TcpListener, TcpRetransmitEvent

LASTS_S = Threshold(
    3,
    "s",
    because="calculated: a request is sent again after 1 s and after 3 s (RFC 6298; net/ipv4/tcp_timer.c); a single "
    "packet that was lost is made good by the first of them",
)
GAP_S = Threshold(
    16,
    "s without a request",
    because="calculated: a request is sent again after 1, 2, 4, 8 and 16 s (RFC 6298, 5.5); two that were lost at "
    "moments farther apart were each made good by the next",
)
MOST_PLACES = Threshold(
    10,
    "places",
    because="judged: a program depends on a few services; one that asks at more of them in vain looks for what is "
    "there, as scanners and monitors do",
)

MOST_LISTED = 3


@dataclass(frozen=True, slots=True)
class Unanswered:
    """An address and port that does not answer requests for connections in a stretch of seconds."""

    place: str
    address: str | None
    run: Interval
    onset_ns: int
    seconds: int
    """From the first to the last sign of it."""
    askers: Sequence[Entity]
    """Processes that ask, as far as they are known."""
    places: int
    """Places at which the same programs ask in vain."""
    full_listener: bool
    """A listener of this machine drops requests meanwhile, because its accept queue is full."""
    data_sent_again: int
    """Segments with data to the same address that were sent again."""
    requests_sent_again: int
    waiting: Sequence[TcpConnection]
    again: Sequence[TcpRetransmitEvent]
    dropped: Sequence[PacketDrop]
    """What rules drop meanwhile."""
    made: int = 0
    """Connections to the same place that were made meanwhile, as far as that is counted."""
    table_is_full: bool = False
    """The table of connections of this machine has no room for new ones."""
    others: Sequence[str] = ()
    """Other places of the same network that do not answer meanwhile."""


def measure(window: Window) -> Iterable[Unanswered]:
    """Each address and port to which requests for connections were sent again; those of one network together."""
    together: dict[str, list[Unanswered]] = {}
    for suspect in _each(window):
        network = network_of(suspect.address)
        if network is None or suspect.seconds < LASTS_S or suspect.made or suspect.places >= MOST_PLACES:
            yield suspect
        else:
            together.setdefault(network, []).append(suspect)
    for suspects in together.values():
        first = max(suspects, key=lambda suspect: suspect.requests_sent_again)
        meanwhile = [suspect for suspect in suspects if suspect is not first and suspect.run.overlaps(first.run)]
        yield _joined(first, meanwhile)
        yield from (suspect for suspect in suspects if suspect is not first and suspect not in meanwhile)


def _joined(first: Unanswered, others: Sequence[Unanswered]) -> Unanswered:
    """A place that does not answer, with others of its network that do not either: they have the way in common."""
    several = (first, *others)
    return replace(
        first,
        onset_ns=min(suspect.onset_ns for suspect in several),
        seconds=max(suspect.seconds for suspect in several),
        askers=list(dict.fromkeys(asker for suspect in several for asker in suspect.askers)),
        full_listener=all(suspect.full_listener for suspect in several),
        data_sent_again=sum(suspect.data_sent_again for suspect in several),
        requests_sent_again=sum(suspect.requests_sent_again for suspect in several),
        waiting=[row for suspect in several for row in suspect.waiting],
        again=[row for suspect in several for row in suspect.again],
        others=sorted(suspect.place for suspect in others),
    )


def _each(window: Window) -> Iterable[Unanswered]:
    """Each address and port to which requests for connections were sent again."""
    table = window.once(full_table)
    waiting = window.once(stuck).get("answer", ())
    again = [row for row in window.rows(TcpRetransmitEvent) if row.state == "syn_sent"]
    both: list[TcpConnection | TcpRetransmitEvent] = [*waiting, *again]
    by_place: dict[tuple[str | None, int | None], list[TcpConnection | TcpRetransmitEvent]] = {}
    for row in sorted(both, key=moment):
        by_place.setdefault((row.daddr, row.dport), []).append(row)
    for (address, port), of_place in by_place.items():
        run = _latest(window, of_place)
        ordered = [*window.within(of_place, run)]
        connections = [row for row in ordered if isinstance(row, TcpConnection)]
        events = [row for row in ordered if isinstance(row, TcpRetransmitEvent)]
        asking = {row.pid for row in ordered if row.pid}
        yield Unanswered(
            place=place_of(address, port),
            address=address,
            run=run,
            onset_ns=ordered[0].timestamp,
            seconds=run.seconds,
            askers=holders(connections) or _senders(events),
            places=sum(not asking or bool(asking & {row.pid for row in rows}) for rows in by_place.values()),
            full_listener=_full_listener(window, run, port),
            data_sent_again=sum(1 for row in window.within(window.once(sent_again), run) if row.daddr == address),
            requests_sent_again=max(len(events), len({(row.sport, row.retransmits) for row in connections})),
            waiting=connections,
            again=events,
            dropped=[
                row
                for (cause, _), of_cause in window.once(drops).items()
                for row in window.within(of_cause, run)
                if cause == "rule"
            ],
            made=_made(window, run, place_of(address, port)),
            table_is_full=table is not None and table.explains,
        )


def _latest(window: Window, rows: Sequence[TcpConnection | TcpRetransmitEvent]) -> Interval:
    """The last stretch in which requests were sent again that lasts, or else the last."""
    stretches = runs(dict.fromkeys(window.seconds(rows), 1.0), bool, least=1, gap=int(GAP_S))
    return next((run for run in reversed(stretches) if run.seconds >= LASTS_S), stretches[-1])


def _full_listener(window: Window, run: Interval, port: int | None) -> bool:
    """Whether a listener of this machine that is full drops requests, and may be the one at a port."""
    dropped = any(row.reason == FULL_LISTENER for row in window.within(window.rows(PacketDrop), run))
    full = {row.port for row in window.within(window.rows(TcpListener), run) if row.accept_queue}
    return (dropped or bool(window.during(refused(window), run))) and (not full or port in full or port is None)


def _made(window: Window, run: Interval, place: str) -> int:
    """Connections to a place that were made within a stretch: at its ends, it may not have begun, or be over."""
    rows = window.within(window.rows(ServiceEdge), Interval(run.first + 2, run.last - 1))
    return sum(row.connects or 0 for row in rows if row.connects and place_of(row.address, row.port) == place)


def _senders(rows: Sequence[TcpRetransmitEvent]) -> list[Entity]:
    return list(dict.fromkeys(process_entity(row.pid, row.comm) for row in rows if row.pid))


def explain(window: Window, suspect: Unanswered) -> Explanation:
    """Who asks waits until it gives up, and no error tells it before."""
    culprit = Entity("listener", suspect.place, suspect.place)
    names = ", ".join(f"{one.name} ({one.id})" for one in suspect.askers[:3]) or "a program"
    places = " and ".join([suspect.place, *([listed(suspect.others)] if suspect.others else [])])
    look = f"see whether a firewall drops what is sent to {places}, and whether its host is up and has that address: "
    look += "a service that does not run would refuse at once"
    if suspect.others:
        look = f"see whether the way to {network_of(suspect.address)} works, such as a tunnel or a router: several "
        look += f"places there do not answer, {places}"
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.onset_ns,
        victims=tuple(suspect.askers[:5]),
        does="answers no request for a connection",
        harm=f"has asked for {suspect.seconds} s in vain",
        suffering_s=float(suspect.seconds * max(len(suspect.askers), 1)),
        path=path(
            claim(
                f"{names} asks for a connection to {places} for {suspect.seconds} s, and nothing answers",
                window.evidence(suspect.waiting, TcpConnection.retransmits, "max"),
            ),
            claim(
                f"{len(suspect.again)} requests for a connection to {places} were sent again",
                window.evidence(suspect.again, TcpRetransmitEvent.segments, "sum"),
            ),
            claim(
                "rules drop packets meanwhile: "
                + ", ".join(sorted({f"{row.reason} at {row.interface_name}" for row in suspect.dropped})[:3]),
                window.evidence(suspect.dropped, PacketDrop.count, "sum"),
            ),
        ),
        refuted_by=f"a connection to {suspect.place} is made at once",
        outlook=f"each new connection to {suspect.place} waits until its program gives up; open ones go on",
        actions=(LOOK.on(culprit, look),),
    )


def listed(places: Sequence[str]) -> str:
    """Some of many places, and how many more there are."""
    more = f" and {len(places) - MOST_LISTED} more" if len(places) > MOST_LISTED else ""
    return ", ".join(places[:MOST_LISTED]) + more


MECHANISM = Mechanism[Unanswered](
    fault=SLOW_DEPENDENCY,
    summary="Nothing answers requests for connections to an address and port: a firewall drops them, or the host is "
    "not there. Programs wait for their timeouts.",
    measure=measure,
    prior=Prior(
        0.5,
        because="judged: only a place where requests for connections are sent again is a suspect; on a healthy machine "
        "they are answered or refused at once",
    ),
    checks=(
        Check(
            id="lasts",
            says="it lasts: requests are sent again for 3 s or more",
            holds=lambda suspect: suspect.seconds >= LASTS_S,
            supports=2.0,
            refutes=4.0,
            because="judged: a packet that was lost is sent again once, and that is answered",
        ),
        Check(
            id="no_full_listener",
            says="no listener of this machine drops requests because its accept queue is full",
            holds=lambda suspect: not suspect.full_listener,
            supports=0.5,
            refutes=4.0,
            because="the kernel drops what a listener has no room for, without an answer (tcp_v4_syn_recv_sock, "
            "tcp_conn_request): that is the listener's own fault (`listen_overflow`)",
        ),
        Check(
            id="table_has_room",
            says="the table of connections of this machine has room for new ones",
            holds=lambda suspect: not suspect.table_is_full,
            supports=0.0,
            refutes=5.0,
            because="a full table drops every request for a new connection here, whoever is asked (`kernel_limit`)",
        ),
        Check(
            id="data_arrives",
            says="data to the same address is not sent again as often",
            holds=lambda suspect: suspect.data_sent_again < max(suspect.requests_sent_again, 1),
            supports=0.5,
            refutes=3.0,
            because="judged: where data is lost as well, it is the way there that loses packets (`packet_loss`)",
        ),
        Check(
            id="none_is_made",
            says="no connection to the same place is made meanwhile",
            holds=lambda suspect: not suspect.made,
            supports=0.0,
            refutes=5.0,
            because="where others are answered meanwhile, single requests were lost, as on a way that loses packets "
            "now and then, and were made good",
        ),
        Check(
            id="few_places",
            says="those who ask there wait at few places",
            holds=lambda suspect: suspect.places < MOST_PLACES,
            supports=0.5,
            refutes=4.0,
            because="judged: a scan of a network asks where nobody is, as it is meant to",
        ),
    ),
    explain=explain,
)
