"""Listeners on local sockets that let those who connect to them wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.listen_overflow import LISTEN_OVERFLOW
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.packets import LASTS_S
from kernelsight.diagnosis.phrases import of_every_second
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.waiting import LEAST_SHARE, Edge, shown, waiting
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.scheduler import Wait


@dataclass(frozen=True, slots=True)
class Connecting:
    """Processes that waited to connect until a listener accepted another connection."""

    listener_pid: int
    run: Interval
    seconds: int
    """In which such a wait ended."""
    waited_s: float
    """Seconds that they waited, together."""
    edges: Sequence[Edge]
    """The waits of those that it took a good part of the time."""


def measure(window: Window) -> Iterable[Connecting]:
    """Each process that ends waits in connect(2) of others.

    Over TCP, connect(2) sleeps, too, but a packet ends that, and no process (unix(7), net/unix/af_unix.c).
    """
    known = window.once(processes)
    by_listener: dict[int, list[Edge]] = {}
    for edge in window.once(waiting).edges:
        waker = known.get(edge.waker_pid or 0)
        by_process = edge.waker_pid and not edge.is_own and not (waker and waker.is_kernel_thread)
        if by_process and edge.waits_in == "connect" and edge.state == "interruptible":
            by_listener.setdefault(edge.waker_pid or 0, []).append(edge)
    for pid, edges in by_listener.items():
        seconds = sorted({second for edge in edges for second, _ in edge.waited.items()})
        # A wait is counted in the second in which it ends, and may have taken all the time before.
        longest = max(edge.mean_in(Interval(seconds[0], seconds[-1])) for edge in edges)
        run = Interval(max(0, int(seconds[0] - longest)), seconds[-1])
        slowed = [edge for edge in edges if edge.waited_in(run) >= LEAST_SHARE * run.seconds]
        if run.seconds >= LASTS_S and slowed:
            yield Connecting(pid, run, len(seconds), sum(edge.waited_in(run) for edge in slowed), slowed)


def explain(window: Window, suspect: Connecting) -> Explanation:
    """The listener's backlog is full, and connect(2) sleeps until it accepts."""
    culprit, run = named(window, suspect.listener_pid), suspect.run
    victims = tuple(dict.fromkeys(named(window, edge.pid) for edge in suspect.edges))
    names = ", ".join(sorted({victim.name for victim in victims})[:3])
    times = sum(edge.count_in(run) for edge in suspect.edges)
    waited_s = sum(edge.waited_in(run) for edge in suspect.edges if edge.pid == suspect.edges[0].pid)
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(run.first),
        victims=victims[:5],
        does="accepts connections too slowly",
        harm=f"waits {of_every_second(waited_s, run.seconds)} to connect",
        suffering_s=suspect.waited_s,
        path=path(
            claim(
                f"{names} waited {suspect.waited_s:.1f} s in {run.seconds} s to connect",
                shown(window, suspect.edges, run),
            ),
            claim(
                f"{culprit.name} ({culprit.id}) ended these waits, {times:.0f} times",
                shown(window, suspect.edges, run, Wait.count),
            ),
        ),
        refuted_by=f"they wait as long with a longer backlog of {culprit.name}",
        outlook="whoever connects waits, or is told to try again (EAGAIN)",
        actions=(LOOK.on(culprit, f"see why {culprit.name} accepts so slowly; a longer backlog gains time"),),
    )


MECHANISM = Mechanism[Connecting](
    fault=LISTEN_OVERFLOW,
    summary="A listener on a local socket accepts connections more slowly than they come. Whoever connects sleeps "
    "until it accepts one.",
    measure=measure,
    prior=Prior(
        2.5,
        because="judged: on this machine connect(2) sleeps until another process wakes it for no other reason than a "
        "full backlog (unix(7), net/unix/af_unix.c), and only those who wait a good part of the time are suspects",
    ),
    checks=(
        Check(
            id="again",
            says="it happens again and again",
            holds=lambda suspect: suspect.seconds > 1,
            supports=1.0,
            refutes=1.5,
            because="judged: a single wait may be for a listener that has only just started",
        ),
    ),
    explain=explain,
)
