"""Servers that hold a lock while they wait for their own client, and keep all waiting who want the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.faults.lock_contention import LOCK_CONTENTION
from kernelsight.diagnosis.identity import ProgramId
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import named, program_of
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import LONG_S, Awaited, answered_late, times_longer, under_way, waiter_of
from kernelsight.diagnosis.unanswered_checks import DOES_NOTHING, IDLE_CPUS, NONE_COMES, SOON_BEFORE, WAITS_LONG
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window
from kernelsight.events.pending_wait import PendingWait
from kernelsight.linux.syscalls import USER_LOCKS
from kernelsight.quantities import quantity

TICK_S = Threshold(
    0.1, "s", because="calculated: sockets note times in ticks of up to 10 ms, and rows of one pass are read in turn"
)
JUST_BEFORE_S = Threshold(
    10,
    "s",
    because="judged: where clients want the same row all the time, the first is held up soon after it was locked",
)
SEVERAL = Threshold(2, "clients", because="a single one may wait for what it asked for")


@dataclass(frozen=True, slots=True)
class Held:
    """Clients whose requests a server does not answer, while it waits for another client to go on."""

    waits: Sequence[Awaited]
    """The requests that wait, the longest first."""
    holder: Awaited
    """The connection whose client does not go on: of those that were idle when the first wait began, the last."""
    others: int
    """Further connections that were idle then."""
    of_its_own: bool
    """Whether each request has a process of its own, or a thread that sleeps for a lock."""
    waits_elsewhere: bool
    """Whether those who are to answer wait for another service themselves."""
    times_longer: float | None
    late_answers: int
    ran: float | None

    @property
    def waited_s(self) -> float:
        """Of the request that waits longest."""
        return self.waits[0].waited_s

    @property
    def idle_before_s(self) -> float:
        """How long the holder had been idle when the first wait began."""
        return (self.waits[0].began_ns - self.holder.latest_ns) / NS_PER_S

    @property
    def clients(self) -> int:
        """Connections on which clients wait."""
        return sum(wait.connections for wait in self.waits)


def measure(window: Window) -> Iterable[Held]:
    """Each service with requests that wait while a client of it does not go on."""
    waits = window.once(under_way)
    stuck: dict[tuple[ProgramId, int | None], list[Awaited]] = {}
    for wait in waits:
        if wait.waits_for == "answer" and wait.peer_pid is not None and wait.waited_s >= LONG_S:
            key = program_of(window, wait.peer_pid, wait.peer_comm), wait.port
            stuck.setdefault(key, []).append(wait)
    for (program, port), its in stuck.items():
        first = its[0].began_ns
        idle = [
            wait
            for wait in waits
            if wait.waits_for == "request"
            and wait.port == port
            and wait.latest_ns <= first + TICK_S * NS_PER_S
            and program_of(window, wait.pid or -1, wait.comm) == program
        ]
        if idle:
            idle.sort(key=lambda wait: -wait.latest_ns)
            yield _held(window, its, idle)


def _held(window: Window, waits: Sequence[Awaited], idle: Sequence[Awaited]) -> Held:
    servers = {wait.peer_pid for wait in waits} - {None}
    run = Interval(window.second_at(waits[0].began_ns) + 1, window.second_at(window.when.end_ns))
    uses = [use for use in window.once(cpu_use) if use.pid in servers]
    by_process = {pid: sum(wait.connections for wait in waits if wait.peer_pid == pid) for pid in servers}
    alone = len(servers) > 1 or idle[0].pid not in servers
    return Held(
        waits=waits,
        holder=idle[0],
        others=len(idle) - 1,
        of_its_own=(alone and all(count == 1 for count in by_process.values()))
        or any(wait.peer_waits_in in USER_LOCKS for wait in waits),
        waits_elsewhere=any(
            wait.pid in servers and wait.waits_for != "request"
            for wait in window.once(under_way)
            if wait.pid is not None
        ),
        times_longer=times_longer(window, waits),
        late_answers=answered_late(window, waits[0].address, waits[0].port),
        ran=sum(use.wanted_in(run) for use in uses) / max(run.seconds, 1),
    )


def explain(window: Window, suspect: Held) -> Explanation:
    """Nobody goes on until the client of the holder does, or is gone."""
    holder = suspect.holder
    server = named(window, holder.pid or -1, holder.comm)
    client = _client(window, holder)
    is_apart = holder.pid not in {wait.peer_pid for wait in suspect.waits}
    culprit = server if is_apart or client is None else client
    whom = f"its client {client.name} ({client.id})" if client else "a client of another machine"
    clients = [entity for wait in suspect.waits if (entity := waiter_of(window, wait)) is not None]
    servers = [named(window, wait.peer_pid, wait.peer_comm) for wait in suspect.waits if wait.peer_pid is not None]
    return Explanation(
        culprit=culprit,
        onset_ns=max(suspect.waits[0].began_ns, window.when.start_ns),
        victims=tuple(dict.fromkeys([*clients[:4], *servers[:4]])),
        is_idle=(suspect.ran or 0.0) <= IDLE_CPUS,
        does=f"waits for {whom} and keeps what others want"
        if culprit is server
        else f"keeps {server.name} ({server.id}) waiting, which holds what others want",
        detail=f"{quantity(holder.waited_s, 's')} so far",
        harm=f"has waited up to {quantity(max(wait.waited_s for wait in suspect.waits), 's')} for an answer",
        suffering_s=sum(wait.waited_s * wait.connections for wait in suspect.waits),
        path=path(
            *(
                claim(
                    f"{_who(window, wait)} waits for an answer of {wait.peer_comm} ({wait.peer_pid}) for "
                    f"{wait.waited_s:.1f} s",
                    window.evidence(wait.rows, PendingWait.waited_ms, "max"),
                )
                for wait in suspect.waits[:3]
            ),
            claim(
                f"{server.name} ({server.id}) waits for {whom} for {holder.waited_s:.1f} s, and keeps for it what the "
                "others want",
                window.evidence(holder.rows, PendingWait.waited_ms, "max"),
            ),
        ),
        refuted_by=f"they wait as long after {client.name if client else 'that client'} has gone on, or was ended",
        outlook="all who want the same wait until that client goes on or ends, or until they give up",
        actions=(
            LOOK.on(
                culprit,
                f"see what {client.name if client else 'the client'} waits for, and end its transaction or its "
                "connection",
            ),
        ),
    )


def _client(window: Window, holder: Awaited) -> Entity | None:
    return None if holder.peer_pid is None else named(window, holder.peer_pid, holder.peer_comm)


def _who(window: Window, wait: Awaited) -> str:
    waiter = waiter_of(window, wait)
    return f"{waiter.name} ({waiter.id})" if waiter else "a client of another machine"


MECHANISM = Mechanism[Held](
    fault=LOCK_CONTENTION,
    summary="A server has something locked for a client that does not go on, such as the rows of a transaction that "
    "was left open. The requests of all others who want the same wait, and the server does nothing.",
    measure=measure,
    checks=(
        WAITS_LONG,
        SOON_BEFORE,
        NONE_COMES,
        DOES_NOTHING,
        Check(
            id="of_its_own",
            says="each request that waits has a process of its own, or a thread that sleeps for a lock",
            holds=lambda suspect: suspect.of_its_own,
            supports=2.0,
            refutes=6.0,
            because="judged: a server that has one thread for all its clients cannot wait for a lock: it would answer "
            "nobody. Who waits there waits for an event, such as the next job of a queue",
        ),
        Check(
            id="idle_just_before",
            says="the client that does not go on was heard of shortly before the first wait began",
            holds=lambda suspect: suspect.idle_before_s <= JUST_BEFORE_S,
            supports=1.0,
            refutes=1.0,
            because="judged: what is locked all day is wanted at once; connections of a pool have been idle for long",
        ),
        Check(
            id="several_wait",
            says="several clients wait",
            holds=lambda suspect: suspect.clients >= SEVERAL,
            supports=1.0,
            refutes=1.0,
            because="judged: a single client may have asked for something that takes long",
        ),
        Check(
            id="several_wait_from_the_beginning",
            says="several clients wait, though it is not known how long they waited before",
            holds=lambda suspect: None if suspect.times_longer is not None else suspect.clients >= SEVERAL,
            supports=0.0,
            refutes=4.0,
            because="judged: that a single connection has been without an answer for as long as it is known means "
            "nothing: the last message of a protocol may be one that has none",
        ),
        Check(
            id="waits_for_nobody_else",
            says="the servers that are to answer wait for no other service",
            holds=lambda suspect: not suspect.waits_elsewhere,
            supports=0.0,
            refutes=6.0,
            because="judged: a server that has sent a request to another service waits for that (`slow_dependency`)",
        ),
    ),
    explain=explain,
)
