"""Services that answer late though they do not compute, and so keep other services and their clients waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.answers import times_longer
from kernelsight.diagnosis.calls import Calls, by_server, calls, server_of
from kernelsight.diagnosis.contention import is_held_back
from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.slow_dependency import SLOW_DEPENDENCY
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import ANSWERS_BEFORE, sleeps_for_more_requests
from kernelsight.diagnosis.unanswered_checks import IDLE_CPUS, LONGER, NO_EVENT
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.service import ServiceEdge
from kernelsight.quantities import number, quantity

LATE_S = Threshold(
    0.3, "s until an answer", because="judged: people notice a delay of less and do not complain; machines wait as well"
)
QUESTIONS = Threshold(
    3, "questions without an answer", because="judged: one datagram may be lost; clients ask again after some seconds"
)
SEVERAL = Threshold(2, "clients", because="a single client may have asked for something that takes longer")


@dataclass(frozen=True, slots=True)
class Late:
    """A service that answers late in a stretch of seconds, and that waits for no other that does."""

    run: Interval
    duration: Duration
    server: Entity
    place: str
    clients: Sequence[Calls]
    """Those who call it and wait, the ones that wait longest first."""
    behind: Sequence[Calls]
    """Late calls to those clients."""
    felt_s: float
    times_longer: float | None
    """How many times as long as before half of the clients wait, or more; None: not known of any."""
    ran: float | None
    """CPUs that it uses or waits for; None: it is on another machine."""
    held_back: bool
    """Whether a quota holds it back."""
    unanswered_datagrams: int
    """Questions in datagrams, where none of them was answered in the stretch; 0 where one was."""
    may_wait_for_an_event: bool
    """Whether nothing tells that what is waited for is an answer."""

    @property
    def felt_ms(self) -> float:
        """How long an answer takes."""
        return 1e3 * self.felt_s


def measure(window: Window) -> Iterable[Late]:
    """Each service and stretch in which its clients felt it to be late."""
    known = window.once(calls)
    late = {id(of): runs(of.felt, lambda seconds: seconds >= LATE_S, gap=3) for of in known}
    for its in by_server(known).values():
        stretches = [run for of in its for run in late[id(of)]]
        if not stretches:
            continue
        run = max(stretches, key=lambda run: (run.last, run.seconds))
        waiting = [of for of in its if any(other.overlaps(run) for other in late[id(of)])]
        waiting.sort(key=lambda of: -of.felt_s(run))
        if not any(_is_late(late[id(of)], run) for of in known if of.pid == its[0].server_pid):
            yield _late(window, run, waiting, [*_behind(known, waiting, late, run)])


def _is_late(stretches: Iterable[Interval], run: Interval) -> bool:
    return any(other.overlaps(run) for other in stretches)


def _behind(
    known: Sequence[Calls], waiting: Sequence[Calls], late: dict[int, list[Interval]], run: Interval
) -> Iterator[Calls]:
    """Late calls to those who wait, to those who wait for them, and so on."""
    to_visit, seen = [of.pid for of in waiting], {of.server_pid for of in waiting}
    while to_visit:
        pid = to_visit.pop()
        if pid in seen:
            continue
        seen.add(pid)
        theirs = [of for of in known if of.server_pid == pid and _is_late(late[id(of)], run)]
        to_visit += [of.pid for of in theirs]
        yield from theirs


def _late(window: Window, run: Interval, waiting: Sequence[Calls], behind: Sequence[Calls]) -> Late:
    usual, first = run.before, waiting[0]
    use = next((use for use in window.once(cpu_use) if use.pid == first.server_pid), None)
    is_datagram = any(row.protocol == "udp" for of in waiting for row in of.rows)
    calls_of_threads = {
        row.peer_waits_in
        for row in window.within(window.rows(PendingWait), run)
        if first.server_pid is not None and row.peer_pid == first.server_pid
    }
    known = [of for of in (*waiting, *behind) if of.answers.within(usual) >= ANSWERS_BEFORE]
    return Late(
        run=run,
        duration=duration_of(window, run),
        server=server_of(window, first),
        place=first.place,
        clients=waiting,
        behind=behind,
        felt_s=first.felt_s(run),
        times_longer=times_longer((of.felt_s(run), of.mean_s(usual)) for of in known),
        ran=None if first.server_pid is None else use.wanted_in(run) / run.seconds if use else 0.0,
        held_back=use is not None and is_held_back(window, use, run),
        unanswered_datagrams=_unanswered(window, waiting, run) if is_datagram else 0,
        may_wait_for_an_event=not behind and not is_datagram and sleeps_for_more_requests(calls_of_threads),
    )


def _unanswered(window: Window, waiting: Sequence[Calls], run: Interval) -> int:
    rows = [row for of in waiting for row in window.within(of.rows, run)]
    return 0 if any(row.answers for row in rows) else sum(row.requests or 0 for row in rows)


def explain(window: Window, suspect: Late) -> Explanation:
    """Who calls it is as slow as it is."""
    server, run = suspect.server, suspect.run
    at = "" if suspect.place in {"?", server.name} else f" at {suspect.place}"
    victims = dict.fromkeys(named(window, of.pid, of.comm) for of in (*suspect.behind, *suspect.clients))
    return Explanation(
        culprit=server,
        onset_ns=window.at(run.first),
        victims=tuple(victims)[:5],
        is_idle=(suspect.ran or 0.0) <= IDLE_CPUS,
        does=f"answers late{at}",
        detail=f"{number(suspect.times_longer)} times as late as before" if suspect.times_longer else "",
        harm=f"waits {quantity(suspect.felt_ms, 'ms')} for each answer",
        suffering_s=sum(of.felt_s(run) for of in (*suspect.behind, *suspect.clients)) * run.seconds,
        path=path(
            *(_waits(window, of, run) for of in suspect.behind[:2]),
            *(_waits(window, of, run) for of in suspect.clients[:3]),
        ),
        refuted_by=f"they wait as long while {server.name} answers at once",
        outlook=f"whoever needs {server.name} stays as slow as it is",
        actions=(
            LOOK.on(server, f"see what {server.name}{at} waits for before it answers: it hardly computes meanwhile"),
        ),
    )


def _waits(window: Window, of: Calls, run: Interval) -> Step | None:
    client, server = named(window, of.pid, of.comm), server_of(window, of)
    usual = run.before
    was = f", and {quantity(1e3 * of.mean_s(usual), 'ms')} before" if of.answers.within(usual) >= ANSWERS_BEFORE else ""
    whom = f"{server.name} ({server.id})" if server.kind == "process" else server.name
    rows = window.within(of.rows, run)
    return claim(
        f"{client.name} ({client.id}) waits {quantity(1e3 * of.felt_s(run), 'ms')} for an answer of {whom}{was}",
        window.evidence(rows, ServiceEdge.latency_us, "sum"),
        window.evidence(rows, ServiceEdge.oldest_unanswered_ms, "max"),
    )


MECHANISM = Mechanism[Late](
    fault=SLOW_DEPENDENCY,
    summary="A service answers late and does not compute meanwhile: it waits for something that is not seen, or is far "
    "away. Other services need it, and answer their own clients late.",
    measure=measure,
    checks=(
        Check(
            id="answered_sooner_before",
            says="those who wait {felt_ms:,.0f} ms are known to have had its answers much sooner before, or none of "
            "many questions in datagrams is answered",
            holds=lambda suspect: (
                suspect.unanswered_datagrams >= QUESTIONS
                if suspect.times_longer is None
                else suspect.times_longer >= LONGER
            ),
            supports=2.5,
            refutes=6.0,
            because="judged: what has always taken as long, such as a poll for news, is meant to; without a past it is "
            "not known, but for datagrams: their questions are answered at once or never",
        ),
        Check(
            id="others_depend_on_it",
            says="several clients wait, or a service that has clients of its own",
            holds=lambda suspect: bool(suspect.behind) or len(suspect.clients) >= SEVERAL,
            supports=1.0,
            refutes=3.0,
            because="judged: a single client may have asked for more than before",
        ),
        Check(
            id="hardly_computes",
            says="it hardly computes",
            holds=lambda suspect: None if suspect.ran is None else suspect.ran <= IDLE_CPUS,
            supports=0.5,
            refutes=5.0,
            because="judged: a service that computes is late because of that (`thread_saturation`, `cpu_saturation`)",
        ),
        Check(
            id="no_quota",
            says="no quota holds it back",
            holds=lambda suspect: not suspect.held_back,
            supports=0.0,
            refutes=6.0,
            because="judged: then the quota is why it is late (`cpu_throttling`)",
        ),
        NO_EVENT,
        LASTS,
    ),
    explain=explain,
)
