"""Connections of which nothing gets through: each try to send is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kernelsight.diagnosis.faults.packet_loss import PACKET_LOSS
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.packets import FULL_LISTENER, interface_of, sent_again, sent_again_claim, victims
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import NS_PER_S, Window, grouped_by
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.linux.drop_reasons import ARRIVED

TRIES_APART_S = Threshold(
    3,
    "s",
    because="calculated: the timer of a connection doubles with each try in vain and begins with a second at most (RFC "
    "6298, 5.5), so that tries before this one have been in vain as well",
)
LEAST_TRIES = Threshold(3, "tries", because="judged: fewer are an accident")
DROPS_A_TRY = Threshold(
    2, "drops a try", because="judged: where more is dropped, it is for other reasons, and these tries are a small part"
)


@dataclass(frozen=True, slots=True)
class CutOff:
    """Tries to send, and what was dropped at an interface, for one reason, whenever there was one."""

    interface: str
    cause: str
    """The kernel's reason, and the function in which it dropped them."""
    tries: int
    """Of all connections that wait ever longer before they try again."""
    dropped: int
    """Packets that were dropped in the same seconds."""
    again: Sequence[TcpRetransmitEvent]
    drops: Sequence[PacketDrop]


def measure(window: Window) -> Sequence[CutOff]:
    """Each interface and reason for which packets were dropped whenever a connection tried in vain."""
    return window.once(cut_off)


def cut_off(window: Window) -> Sequence[CutOff]:
    """As :func:`measure`. Use with :meth:`Window.once`."""
    return list(_cut_off(window))


def _cut_off(window: Window) -> Iterator[CutOff]:
    tries = [row for rows in _ever_later(window) for row in rows]
    if len(tries) < LEAST_TRIES:
        return
    seconds = {window.second(row) for row in tries}
    # A count of drops is stamped with the end of its second, a try with its own time.
    near = [row for row in window.rows(PacketDrop) if {window.second(row), window.second(row) - 1} & seconds]
    by_cause = grouped_by(near, lambda row: (row.interface_name, row.reason, row.location))
    for (interface, reason, place), rows in by_cause.items():
        dropped = sum(row.count or 0 for row in rows)
        when = {window.second(row) for row in rows}
        at_each_try = all({second, second + 1} & when for second in seconds)
        elsewhere = reason == FULL_LISTENER or reason in ARRIVED
        if interface and at_each_try and not elsewhere and dropped <= DROPS_A_TRY * len(tries):
            yield CutOff(interface, f"{reason or '?'} in {place or '?'}", len(tries), dropped, tries, rows)


def _ever_later(window: Window) -> Iterator[list[TcpRetransmitEvent]]:
    """What was sent again of each connection that waits ever longer before it tries again."""
    connections = grouped_by(window.once(sent_again), lambda row: (row.daddr, row.dport, row.sport))
    for rows in connections.values():
        gaps = [after.timestamp - before.timestamp for before, after in pairwise(rows)]
        if gaps and max(gaps) >= TRIES_APART_S * NS_PER_S:
            yield rows


def explain(window: Window, suspect: CutOff) -> Explanation:
    """Everything of these connections is dropped, until they give up."""
    culprit, name = interface_of(suspect.interface), suspect.interface
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.again[0].timestamp,
        victims=victims(suspect.again, suspect.drops),
        does="loses every packet of some connections",
        detail=f"the kernel dropped {suspect.dropped:,} ({suspect.cause})",
        harm="gets nothing through",
        suffering_s=0.0,
        path=path(
            sent_again_claim(window, suspect.again),
            claim(
                f"the kernel dropped {suspect.dropped} packets at {name} meanwhile: {suspect.cause}",
                window.evidence(suspect.drops, PacketDrop.count, "sum"),
            ),
        ),
        refuted_by=f"they are cut off as well when nothing is dropped at {name}",
        outlook="these connections end with a timeout, and new ones may not be made",
        actions=(LOOK.on(culprit, f"see why {name} drops all of them: a rule, a route, an address"),),
    )


MECHANISM = Mechanism[CutOff](
    fault=PACKET_LOSS,
    summary="Nothing of a connection gets through. It tries again ever more seldom, and each try is dropped at the "
    "same place.",
    measure=measure,
    prior=Prior(
        2.0,
        because="judged: only what is dropped at each of several tries in vain is a suspect, and a coincidence of both "
        "is rare",
    ),
    checks=(
        Check(
            id="dropped_with_each_try",
            says="there are as many drops here as tries",
            holds=lambda suspect: suspect.dropped >= suspect.tries,
            supports=1.5,
            refutes=4.0,
            because="calculated: where each try is dropped, there are as many drops as tries; fewer, and some of the "
            "tries were lost elsewhere",
        ),
    ),
    explain=explain,
)
