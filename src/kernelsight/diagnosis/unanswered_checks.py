"""What tells a request that nobody answers from one that is answered late on purpose: checks that mechanisms share."""

from __future__ import annotations

from typing import Protocol

from kernelsight.diagnosis.mechanism import Check
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import LONG_S

LONGER = Threshold(
    5.0,
    "times as long as before",
    because="judged: well above what requests of one client differ by",
)
IDLE_CPUS = Threshold(
    0.2, "CPUs", because="judged: who waits for something uses next to none; a server has timers and other clients"
)


class Unanswered(Protocol):
    """Requests that wait for an answer."""

    @property
    def waited_s(self) -> float:
        """Of the one that waits longest."""
        ...

    @property
    def times_longer(self) -> float | None:
        """Than such answers took before; None where none is known from before."""
        ...

    @property
    def late_answers(self) -> int:
        """Requests that were answered after seconds within the window."""
        ...

    @property
    def ran(self) -> float | None:
        """CPUs that those use, or wait for, who are to answer; None where they are on another machine."""
        ...


WAITS_LONG: Check[Unanswered] = Check(
    id="waits_long",
    says="a request has waited for an answer for {waited_s:.1f} s",
    holds=lambda suspect: suspect.waited_s >= LONG_S,
    supports=0.5,
    refutes=6.0,
    because="judged: any request waits for a moment; that one waits is what makes it a suspect",
)
SOON_BEFORE: Check[Unanswered] = Check(
    id="answered_soon_before",
    says="those who wait had such answers much sooner before",
    holds=lambda suspect: None if suspect.times_longer is None else suspect.times_longer >= LONGER,
    supports=2.5,
    refutes=6.0,
    because="judged: who polls for news, or waits for the next job of a queue, has always waited so long; who had "
    "answers at once and has none any more is held up",
)
NONE_COMES: Check[Unanswered] = Check(
    id="none_comes",
    says="no such request is answered after seconds, as it would be if that were usual",
    holds=lambda suspect: None if suspect.times_longer is not None else not suspect.late_answers,
    supports=0.5,
    refutes=6.0,
    because="judged: where nothing is known from before, answers that come after seconds show that these are usual",
)
DOES_NOTHING: Check[Unanswered] = Check(
    id="does_nothing",
    says="those who are to answer use no CPU time to speak of, and want none",
    holds=lambda suspect: None if suspect.ran is None else suspect.ran <= IDLE_CPUS,
    supports=0.5,
    refutes=5.0,
    because="judged: a server that computes is slow because of that (`thread_saturation`, `cpu_saturation`)",
)


class Event(Protocol):
    """Requests of which it matters whether they ask for an event that has not occurred yet."""

    @property
    def may_wait_for_an_event(self) -> bool:
        """Whether nothing tells that what is waited for is an answer."""
        ...


NO_EVENT: Check[Event] = Check(
    id="no_event",
    says="they wait for an answer, and not for an event: clients wait behind them, the question was a datagram, or the "
    "thread that got the request sleeps for something else than the next request",
    holds=lambda suspect: not suspect.may_wait_for_an_event,
    supports=0.5,
    refutes=5.0,
    because="judged: workers that take jobs from a queue have them at once while there are some, and wait in the same "
    "request when there are none; the server that keeps the queue sleeps as one that has nothing to do",
)
