"""Connections that cannot be made because every local port towards their destination is taken."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.errors import Failures, failures
from kernelsight.diagnosis.faults.port_exhaustion import PORT_EXHAUSTION
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.remedies import LOOK, MACHINE, SET_SYSCTL
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.tcp import Tcp
from kernelsight.quantities import number

AGAIN = Threshold(3, "failed calls", because="judged: fewer are single tries of an address that is not this machine's")
MANY_WAIT = Threshold(
    100, "connections in TIME_WAIT", because="judged: a machine whose connections last has fewer at once"
)
_TAKES_A_PORT = frozenset({"connect", "bind"})


@dataclass(frozen=True, slots=True)
class Refused:
    """The calls of a process that failed for want of an address."""

    failures: Failures
    time_wait: int
    """The most connections of the machine that were in TIME_WAIT at once."""
    tcp: Sequence[Tcp]

    @property
    def is_for_a_port(self) -> bool:
        """Whether the calls ask for a local port."""
        return bool(_TAKES_A_PORT & {*self.failures.calls})

    @property
    def count(self) -> int:
        """How many calls failed."""
        return self.failures.count

    @property
    def many_wait(self) -> bool:
        """Whether many connections are in TIME_WAIT."""
        return self.time_wait >= MANY_WAIT


def measure(window: Window) -> Iterable[Refused]:
    """Each process whose calls failed for want of an address."""
    tcp = window.rows(Tcp)
    most = max((row.time_wait or 0 for row in tcp), default=0)
    for refused in failures(window, {errno.EADDRNOTAVAIL}):
        yield Refused(refused, most, tcp)


def explain(window: Window, suspect: Refused) -> Explanation:
    """The process makes more connections than ports come free."""
    refused = suspect.failures
    culprit = refused.entity
    return Explanation(
        culprit=culprit,
        onset_ns=refused.first_ns,
        victims=(culprit,),
        does="finds no free local port",
        detail=f"{number(refused.count)} of its calls failed with {refused.error}",
        harm="is refused new connections",
        suffering_s=0.0,
        path=path(
            claim(
                f"{refused.count} calls of {culprit.name} ({', '.join(refused.calls)}) failed with {refused.error}",
                refused.evidence,
            ),
            claim(
                f"up to {suspect.time_wait} connections are in TIME_WAIT",
                window.evidence(suspect.tcp, Tcp.time_wait, "max"),
            )
            if suspect.many_wait
            else None,
        ),
        refuted_by="the calls fail as well with a wider net.ipv4.ip_local_port_range",
        outlook=f"{culprit.name} can make no new connection to that destination",
        actions=(
            SET_SYSCTL.on(
                MACHINE,
                "use ports in TIME_WAIT again for new connections (net.ipv4.tcp_tw_reuse)",
                name="net.ipv4.tcp_tw_reuse",
                value=1,
            ),
            SET_SYSCTL.on(
                MACHINE,
                "widen the range of ports (net.ipv4.ip_local_port_range)",
                name="net.ipv4.ip_local_port_range",
                value="1024 65535",
            ),
            LOOK.on(culprit, f"let {culprit.name} keep its connections open"),
        ),
    )


MECHANISM = Mechanism[Refused](
    fault=PORT_EXHAUSTION,
    summary="A program makes connections faster than ports come free. A closed connection keeps its port for a minute "
    "(TIME_WAIT).",
    measure=measure,
    checks=(
        Check(
            id="asks_for_a_port",
            says="connect or bind fails for want of an address",
            holds=lambda suspect: suspect.is_for_a_port,
            supports=4.0,
            refutes=4.0,
            because="EADDRNOTAVAIL of connect(2) and bind(2): all ports of the ephemeral range are in use; other calls "
            "mean another address by it",
        ),
        Check(
            id="again_and_again",
            says="it fails again and again",
            holds=lambda suspect: suspect.count >= AGAIN,
            supports=1.5,
            refutes=2.0,
            because="judged: the kernel says the same of an address that is not this machine's, which a program tries "
            "once",
        ),
        Check(
            id="many_in_time_wait",
            says="connections in TIME_WAIT hold many ports",
            holds=lambda suspect: suspect.many_wait,
            supports=1.0,
            refutes=0.0,
            because="judged: it is the usual reason; connections in use may hold the ports as well, or other network "
            "namespaces",
        ),
    ),
    explain=explain,
)
