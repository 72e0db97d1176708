"""Listeners whose backlog is taken by connections that many ask for and nobody completes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.backlogs import asked_again, callers, refused
from kernelsight.diagnosis.faults.listen_overflow import LISTEN_OVERFLOW
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.packets import sent_again
from kernelsight.diagnosis.remedies import LOOK, MACHINE, SET_SYSCTL
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window, grouped_by, samples_of
from kernelsight.events.tcp import TcpListener, TcpRetransmit, TcpRetransmitEvent

LEAST_PEERS = Threshold(
    10, "peers", because="judged: half-open connections of fewer may be ones whose answers were lost"
)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """A listener that answers requests for connections again and again."""

    listener: Entity
    port: int | None
    peers: int
    """Addresses and ports that ask and do not go on."""
    asked_in_vain: bool
    """Requests of this machine had no answer, or requests were dropped."""
    data_sent_again: int
    """Packets with data of its connections that were sent again."""
    answered_again: int
    """Answers to requests that were sent again."""
    answers: Sequence[TcpRetransmitEvent]
    asked: Sequence[TcpRetransmitEvent]
    """Requests to its port that were sent again."""
    dropped: Sequence[TcpRetransmit]
    """Samples of TCP before which requests were dropped, where the listener is of the same network namespace."""


def measure(window: Window) -> Iterable[HalfOpen]:
    """Each listener that answers many peers again.

    The kernel answers each net.ipv4.tcp_synack_retries times. With net.ipv4.tcp_syncookies nobody else is refused for
    it, and nothing is wrong.
    """
    answered = [row for row in window.rows(TcpRetransmitEvent) if row.state == "syn_recv" and row.pid]
    here = {row.pid for row in window.rows(TcpListener)}
    for (pid, port), rows in grouped_by(answered, lambda row: (row.pid, row.sport)).items():
        peers = {(row.daddr, row.dport) for row in rows}
        if len(peers) < LEAST_PEERS:
            continue
        asked = asked_again(window, port)
        drops = [delta for delta in refused(window) if delta.of(TcpRetransmit.listen_drops)]
        dropped = samples_of(drops) if pid in here else []
        data = [row for row in window.once(sent_again) if port in (row.sport, row.dport)]
        yield HalfOpen(
            listener=process_entity(pid, rows[-1].comm),
            port=port,
            peers=len(peers),
            asked_in_vain=bool(asked or dropped),
            data_sent_again=len(data),
            answered_again=len(rows),
            answers=rows,
            asked=asked,
            dropped=dropped,
        )


def explain(window: Window, suspect: HalfOpen) -> Explanation:
    """Half-open connections take the backlog, and others find no place in it."""
    culprit, port = suspect.listener, suspect.port
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.answers[0].timestamp,
        victims=callers(window, port),
        does=f"has its queue full of half-open connections of {suspect.peers} peers",
        harm="gets no connection",
        suffering_s=0.0,
        path=path(
            claim(
                f"{sum(row.segments or 1 for row in suspect.asked)} requests for a connection to port {port} had no "
                "answer",
                window.evidence(suspect.asked, TcpRetransmitEvent.segments, "sum"),
            ),
            claim(
                "requests for connections were dropped",
                window.evidence(suspect.dropped, TcpRetransmit.listen_drops, "increase"),
            ),
            claim(
                f"{culprit.name} answers {suspect.peers} peers again and again, and they do not go on",
                window.evidence(suspect.answers, TcpRetransmitEvent.segments, "sum"),
            ),
        ),
        refuted_by="connections are made as slowly with net.ipv4.tcp_syncookies set",
        outlook=f"hardly anybody gets a connection to {culprit.name} while they go on asking",
        actions=(
            SET_SYSCTL.on(
                MACHINE,
                "answer requests without keeping them (SYN cookies), or raise net.ipv4.tcp_max_syn_backlog",
                name="net.ipv4.tcp_syncookies",
                value=1,
            ),
            LOOK.on(culprit, f"see who asks for connections to port {port} and completes none, and filter it"),
        ),
    )


MECHANISM = Mechanism[HalfOpen](
    fault=LISTEN_OVERFLOW,
    summary="Many ask for connections and complete none (a SYN flood). They take the listener's backlog, and others "
    "are refused.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only a listener that many ask for connections that they do not complete is a suspect, which "
        "is seldom so on a healthy machine",
    ),
    checks=(
        Check(
            id="asked_in_vain",
            says="others ask for connections in vain",
            holds=lambda suspect: suspect.asked_in_vain,
            supports=2.0,
            refutes=4.0,
            because="judged: with net.ipv4.tcp_syncookies nobody is refused (tcp(7)), and a flood harms nobody",
        ),
        Check(
            id="data_arrives",
            says="data over its connections arrives",
            holds=lambda suspect: suspect.data_sent_again < suspect.answered_again,
            supports=0.5,
            refutes=2.0,
            because="judged: where data is sent again as often as answers, packets are lost both ways (`packet_loss`), "
            "and those who ask never get the answer",
        ),
    ),
    explain=explain,
)
