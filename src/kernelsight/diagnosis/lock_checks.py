"""What tells a contended lock from threads that wait for work: checks that several mechanisms share."""

from __future__ import annotations

from typing import Protocol

from kernelsight.diagnosis.lock_queues import Queueing
from kernelsight.diagnosis.mechanism import Check
from kernelsight.diagnosis.threshold import Threshold

HANDED_ON_PER_S = Threshold(
    5, "releases/s", because="judged: threads that release each other less often are a pool that idles"
)
ALIKE_SHARE = Threshold(
    0.35,
    "share of what all threads do",
    because="calculated: the thread that hands out work sleeps once for each piece of it, and so do those that do the "
    "work, together; so half of the sleeps are its. Of three or more threads that go for one lock, each has a third "
    "at most",
)
WORKING_THREADS = Threshold(
    0.5,
    "threads on average",
    because="calculated: a contended lock is held nearly all the time; half is left for the accuracy of both counts",
)
GOES_ON_SHARE = Threshold(
    0.5,
    "share of the threads that want to go on",
    because="judged: where more than half of them run, the lock holds up few",
)


class HeldUp(Protocol):
    """Threads or processes of which some run and some wait."""

    @property
    def ran(self) -> float:
        """CPUs that they used, on average."""
        ...

    @property
    def waiting(self) -> float:
        """How many waited, on average."""
        ...


RELEASE_EACH_OTHER: Check[Queueing] = Check(
    id="release_each_other",
    says="threads of the program end each other's waits, many times a second",
    holds=lambda queueing: queueing.handed_on >= HANDED_ON_PER_S,
    supports=1.5,
    refutes=4.0,
    because="judged: a contended lock changes hands all the time; a pool of threads that seldom wake each other waits "
    "for work (recorded: `crowd_of_threads`)",
)
ALIKE: Check[Queueing] = Check(
    id="alike",
    says="its threads all do the same; none gives work to the others",
    holds=lambda queueing: None if queueing.busiest is None else queueing.busiest <= ALIKE_SHARE,
    supports=2.0,
    refutes=4.0,
    because="judged: the threads of a pool wait for the one that hands out work, and that one does most of what all do "
    "(recorded, of a lock of a program: `threads_that_wait_for_work`); then it is no lock",
)
HOLDER_WORKS: Check[Queueing] = Check(
    id="holder_works",
    says="the holder of the lock does something meanwhile",
    holds=lambda queueing: queueing.working >= WORKING_THREADS,
    supports=1.0,
    refutes=7.0,
    because="judged: while a thread waits for a lock, another one has it and runs, waits for a CPU, sleeps or is "
    "blocked; where nobody does anything, all wait for work (recorded: `conditions_with_timers`)",
)
FEW_GO_ON: Check[HeldUp] = Check(
    id="few_go_on",
    says="few run at a time, and the others wait",
    holds=lambda held_up: held_up.ran <= GOES_ON_SHARE * (held_up.waiting + held_up.ran),
    supports=1.0,
    refutes=7.0,
    because="calculated: one thread holds a lock at a time; where most of them run, they wait for something else, or "
    "seldom",
)
