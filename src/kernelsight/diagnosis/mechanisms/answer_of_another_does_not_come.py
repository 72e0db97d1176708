"""Requests that another service or machine does not answer, followed to the one at which that ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.faults.slow_dependency import SLOW_DEPENDENCY
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import (
    LONG_S,
    Awaited,
    answered_late,
    behind,
    peer_of,
    sleeps_for_more_requests,
    times_longer,
    under_way,
    waiter_of,
    waits_for_answer,
)
from kernelsight.diagnosis.unanswered_checks import (
    DOES_NOTHING,
    IDLE_CPUS,
    NO_EVENT,
    NONE_COMES,
    SOON_BEFORE,
    WAITS_LONG,
)
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window
from kernelsight.linux.ports import TIME_PORTS
from kernelsight.linux.syscalls import USER_LOCKS
from kernelsight.quantities import quantity

TOGETHER_S = Threshold(
    3, "s", because="judged: clients that ask again and again all have a request under way within so many seconds"
)
VERY_LONG_S = Threshold(
    12,
    "s",
    because="judged: most polls for news are answered within so much, at least with the word that there is none; "
    "where nothing is known from before, nothing else tells them from a request that is never answered",
)
SEVERAL = Threshold(2, "requests", because="a single one may be one that has no answer, such as a last message")


@dataclass(frozen=True, slots=True)
class Silent:
    """A process or an address that does not answer requests, at the end of the window."""

    target: Entity
    place: str
    waits: Sequence[Awaited]
    """The requests to it, the longest first."""
    behind: Sequence[Awaited]
    """The requests to those who wait for it, and so on: what their clients wait for."""
    is_datagram: bool
    may_wait_for_an_event: bool
    """Whether nothing tells that what is waited for is an answer."""
    asks_the_time: bool
    """Whether it is asked for the time alone: a clock goes on without, and nobody waits for that."""
    in_a_lock: bool
    """Whether the thread that got the request sleeps for a lock."""
    times_longer: float | None
    late_answers: int
    ran: float | None

    @property
    def waited_s(self) -> float:
        """Of the request that waits longest."""
        return self.waits[0].waited_s

    @property
    def requests(self) -> int:
        """How many wait."""
        return sum(wait.connections for wait in self.waits)

    @property
    def spread_s(self) -> float:
        """Seconds between the first and the last of them."""
        return (max(wait.latest_ns for wait in self.waits) - self.waits[0].began_ns) / NS_PER_S


def measure(window: Window) -> Iterable[Silent]:
    """Each process or address that requests wait for, and that waits for no other."""
    waits = [wait for wait in window.once(under_way) if wait.waits_for == "answer"]
    waiting = {wait.pid for wait in waits} - {None}
    suspect: dict[tuple[int | None, str], list[Awaited]] = {}
    for wait in waits:
        if wait.peer_pid not in waiting:
            suspect.setdefault((wait.peer_pid, "" if wait.peer_pid else wait.place), []).append(wait)
    for its in suspect.values():
        if its[0].waited_s >= LONG_S:
            yield _silent(window, its)


def _silent(window: Window, its: Sequence[Awaited]) -> Silent:
    target = its[0]
    run = Interval(window.second_at(target.began_ns) + 1, window.second_at(window.when.end_ns))
    answering = _answering(window, target.peer_pid)
    uses = [use for use in window.once(cpu_use) if use.pid in answering]
    theirs = behind(window, its)
    return Silent(
        target=peer_of(window, target),
        place=target.place,
        waits=its,
        behind=theirs,
        is_datagram=any(wait.transport == "udp" for wait in its),
        may_wait_for_an_event=not theirs
        and target.transport != "udp"
        and sleeps_for_more_requests(wait.peer_waits_in for wait in its),
        asks_the_time=target.transport == "udp" and target.port in TIME_PORTS,
        in_a_lock=any(wait.peer_waits_in in USER_LOCKS for wait in its),
        times_longer=times_longer(window, [*its, *theirs]),
        late_answers=answered_late(window, target.address, target.port),
        ran=None if target.peer_pid is None else sum(use.wanted_in(run) for use in uses) / max(run.seconds, 1),
    )


def _answering(window: Window, pid: int | None) -> frozenset[int | None]:
    """A process, and its children of the same name: the workers that answer what comes to where it listens."""
    known = window.once(processes)
    if pid is None or pid not in known:
        return frozenset({pid})
    comm = known[pid].comm
    return frozenset({pid, *(child.pid for child in known.values() if child.parent == pid and child.comm == comm)})


def explain(window: Window, suspect: Silent) -> Explanation:
    """Who asked waits, and who asked that one waits as well."""
    target = suspect.target
    at = "" if suspect.place in {"", target.name} else f" at {suspect.place}"
    victims = [entity for wait in (*suspect.behind, *suspect.waits) if (entity := waiter_of(window, wait)) is not None]
    return Explanation(
        culprit=target,
        onset_ns=max(suspect.waits[0].began_ns, window.when.start_ns),
        victims=tuple(dict.fromkeys(victims))[:5],
        is_idle=(suspect.ran or 0.0) <= IDLE_CPUS,
        does=f"does not answer{at}",
        harm=f"has waited up to {quantity(max(wait.waited_s for wait in suspect.waits), 's')} for an answer",
        suffering_s=sum(wait.waited_s * wait.connections for wait in (*suspect.behind, *suspect.waits)),
        path=path(
            *(waits_for_answer(window, wait) for wait in suspect.behind[:3]),
            *(waits_for_answer(window, wait) for wait in suspect.waits[:3]),
        ),
        refuted_by=f"they wait as long while {target.name} answers at once",
        outlook=f"they wait until {target.name} answers, or until they give up",
        actions=(
            LOOK.on(target, f"see why {target.name} does not answer{at}, and whether it still runs as it should"),
        ),
    )


MECHANISM = Mechanism[Silent](
    fault=SLOW_DEPENDENCY,
    summary="A service or machine takes requests and does not answer them. Those who asked wait, and their own clients "
    "wait for them.",
    measure=measure,
    checks=(
        WAITS_LONG,
        SOON_BEFORE,
        NONE_COMES,
        DOES_NOTHING,
        NO_EVENT,
        Check(
            id="clients_wait_behind",
            says="those who wait for it keep clients of their own waiting",
            holds=lambda suspect: bool(suspect.behind),
            supports=2.0,
            refutes=0.5,
            because="judged: a service that does not answer its own clients is held up; a program without clients may "
            "wait on purpose",
        ),
        Check(
            id="question_is_a_datagram",
            says="a thread waits for the answer to a datagram, and nothing has ever come",
            holds=lambda suspect: suspect.is_datagram,
            supports=2.5,
            refutes=0.5,
            because="judged: protocols of questions and answers in datagrams (DNS, NTP) answer at once or never; who "
            "waits for seconds waits for a timeout. A connection without an answer may be one whose last message has "
            "none",
        ),
        Check(
            id="somebody_waits",
            says="it is asked for something that somebody waits for, and not for the time",
            holds=lambda suspect: not suspect.asks_the_time,
            supports=0.0,
            refutes=6.0,
            because="a clock is set by several servers, and goes on while one of them does not answer (RFC 5905, 11)",
        ),
        Check(
            id="all_together",
            says="several requests are not answered, all since about the same moment",
            holds=lambda suspect: (
                None
                if suspect.times_longer is not None or suspect.is_datagram
                else suspect.requests >= SEVERAL and suspect.spread_s <= TOGETHER_S
            ),
            supports=1.0,
            refutes=4.0,
            because="judged: where nothing is known from before, a single connection without an answer, or several "
            "that came to be so at any time, are those of protocols whose last message has none",
        ),
        Check(
            id="waits_very_long",
            says="a request has waited for longer than polls for news usually do: {waited_s:.1f} s",
            holds=lambda suspect: (
                None if suspect.times_longer is not None or suspect.is_datagram else suspect.waited_s >= VERY_LONG_S
            ),
            supports=0.0,
            refutes=5.0,
            because="judged: where nothing is known from before, it may be a wait on purpose",
        ),
        Check(
            id="waits_for_no_lock",
            says="the thread that got the request does not sleep for a lock",
            holds=lambda suspect: not suspect.in_a_lock,
            supports=0.0,
            refutes=2.0,
            because="judged: then the holder of the lock is to blame (`lock_contention`), where it is known",
        ),
    ),
    explain=explain,
)
