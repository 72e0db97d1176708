"""A process that does not close the connections that the other side has closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.connection_leak import CONNECTION_LEAK
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.remedies import RESTART
from kernelsight.diagnosis.trend import Trend, trend
from kernelsight.diagnosis.unclosed import first_unclosed, unclosed
from kernelsight.diagnosis.window import Window
from kernelsight.events.process import SocketOwner
from kernelsight.events.tcp import Tcp


@dataclass(frozen=True, slots=True)
class Unclosed:
    """The connections of a process that the other side has closed."""

    process: Entity
    rows: Sequence[SocketOwner]
    close_wait: int
    """Such connections at the end."""
    established: int
    """Its connections at the end that both sides have open."""
    grows: bool
    """Whether its own become more."""
    machine: Trend | None
    """Their growth on the whole machine, if they become more there."""


def measure(window: Window) -> Iterable[Unclosed]:
    """Each process with whom such connections pile up."""
    machine = trend(window.rows(Tcp), Tcp.close_wait, up=True)
    for rows in window.once(unclosed):
        last = rows[-1]
        yield Unclosed(
            process=process_entity(last.pid, last.comm),
            rows=rows,
            close_wait=last.close_wait or 0,
            established=last.established or 0,
            grows=trend(rows, SocketOwner.close_wait, up=True) is not None,
            machine=machine,
        )


def explain(window: Window, suspect: Unclosed) -> Explanation:
    """The process will have no descriptor left."""
    culprit, machine = suspect.process, suspect.machine
    return Explanation(
        culprit=culprit,
        onset_ns=machine.onset_ns if machine else first_unclosed(suspect.rows).timestamp,
        victims=(culprit,),
        does=f"leaves {suspect.close_wait:,} connections open that the other side has closed (CLOSE_WAIT)",
        harm="is running out of descriptors",
        suffering_s=0.0,
        path=path(
            claim(
                f"the other side has closed {suspect.close_wait} connections of {culprit.name}, and {culprit.name} has "
                "not (CLOSE_WAIT)",
                window.evidence(suspect.rows, SocketOwner.close_wait, "last"),
            ),
            claim(
                "connections in CLOSE_WAIT become more on this machine",
                window.evidence(machine.rows, Tcp.close_wait, "slope") if machine else None,
            ),
        ),
        refuted_by=f"the connections of {culprit.name} in CLOSE_WAIT go away by themselves",
        outlook=f"{culprit.name} runs out of descriptors",
        actions=(
            RESTART.on(
                culprit,
                f"restart {culprit.name}; it must close a connection when it has read its end",
            ),
        ),
    )


MECHANISM = Mechanism[Unclosed](
    fault=CONNECTION_LEAK,
    summary="The other side closes a connection, and the process does not: the connection stays in CLOSE_WAIT.",
    measure=measure,
    prior=Prior(
        1.5,
        because="judged: only a process with whom such connections pile up is a suspect; a program that reads the end "
        "of a connection closes it at once",
    ),
    checks=(
        Check(
            id="become_more",
            says="such connections become more",
            holds=lambda suspect: suspect.grows or suspect.machine is not None,
            supports=2.0,
            refutes=2.0,
            because="judged: a leak goes on with each connection; a number that rests is left from before",
        ),
        Check(
            id="most_are_such",
            says="most of its connections are such",
            holds=lambda suspect: suspect.close_wait >= suspect.established,
            supports=1.0,
            refutes=1.0,
            because="judged: a server with many open connections may be some behind with closing",
        ),
    ),
    explain=explain,
)
